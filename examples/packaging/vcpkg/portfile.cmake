# SPDX-License-Identifier: MIT
# As an overlay port: vcpkg install libnatprobe --overlay-ports=examples/packaging/vcpkg. The sources are those of this tree.
get_filename_component(SOURCE_PATH "${CMAKE_CURRENT_LIST_DIR}/../../.." ABSOLUTE)

vcpkg_configure_meson(
    SOURCE_PATH "${SOURCE_PATH}"
    OPTIONS
        -Dtests=disabled
        -Dexamples=disabled
)
vcpkg_install_meson()
vcpkg_copy_pdbs()
vcpkg_fixup_pkgconfig()
vcpkg_cmake_config_fixup(PACKAGE_NAME natprobe CONFIG_PATH lib/cmake/natprobe)
# Meson installs it one folder deeper.
vcpkg_replace_string("${CURRENT_PACKAGES_DIR}/share/natprobe/natprobe-config.cmake"
    [[${CMAKE_CURRENT_LIST_DIR}/./../../..]] [[${CMAKE_CURRENT_LIST_DIR}/../..]])

file(REMOVE_RECURSE
    "${CURRENT_PACKAGES_DIR}/debug/include"
    "${CURRENT_PACKAGES_DIR}/debug/share"
    "${CURRENT_PACKAGES_DIR}/share/man"
)
file(INSTALL "${CMAKE_CURRENT_LIST_DIR}/usage" DESTINATION "${CURRENT_PACKAGES_DIR}/share/${PORT}")
vcpkg_install_copyright(FILE_LIST "${SOURCE_PATH}/LICENSE")
