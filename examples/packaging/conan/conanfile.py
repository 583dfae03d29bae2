# SPDX-License-Identifier: MIT
"""Conan 2: conan create examples/packaging/conan. It needs meson and ninja on the path."""
import os
import re

from conan import ConanFile
from conan.tools.files import copy, load, rm, rmdir
from conan.tools.layout import basic_layout
from conan.tools.meson import Meson, MesonToolchain

ROOT = os.path.join("..", "..", "..")
SOURCES = ["meson.build", "meson_options.txt", "libnatprobe.pc.in", "LICENSE", "libnatprobe/*", "include/*", "examples/*.c",
           "examples/*.h", "examples/meson.build", "docs/*"]


class Natprobe(ConanFile):
    name = "libnatprobe"
    license = "MIT"
    description = "Finds out what kind of NAT a host is behind, and whether two hosts will connect over UDP"
    topics = ("nat", "stun", "p2p", "hole-punching")
    package_type = "library"
    settings = "os", "arch", "compiler", "build_type"
    options = {"shared": [True, False], "fPIC": [True, False]}
    default_options = {"shared": False, "fPIC": True}
    implements = ["auto_shared_fpic"]
    languages = "C"

    def set_version(self):
        text = load(self, os.path.join(self.recipe_folder, ROOT, "meson.build"))
        self.version = re.search(r"^  version: '(.*)'", text, flags=re.M).group(1)

    def export_sources(self):
        for pattern in SOURCES:
            copy(self, pattern, os.path.join(self.recipe_folder, ROOT), self.export_sources_folder)

    def layout(self):
        basic_layout(self)

    def generate(self):
        toolchain = MesonToolchain(self)
        toolchain.project_options.update({"tests": "disabled", "examples": "disabled"})
        toolchain.generate()

    def build(self):
        meson = Meson(self)
        meson.configure()
        meson.build()

    def package(self):
        copy(self, "LICENSE", self.source_folder, os.path.join(self.package_folder, "licenses"))
        Meson(self).install()
        # Conan makes these for the user's generator.
        rmdir(self, os.path.join(self.package_folder, "lib", "pkgconfig"))
        rmdir(self, os.path.join(self.package_folder, "lib", "cmake"))
        rmdir(self, os.path.join(self.package_folder, "share"))
        rm(self, "*.pdb", self.package_folder, recursive=True)

    def package_info(self):
        self.cpp_info.libs = ["natprobe"]
        self.cpp_info.set_property("cmake_file_name", "natprobe")
        self.cpp_info.set_property("cmake_target_name", "natprobe::natprobe")
        self.cpp_info.set_property("pkg_config_name", "libnatprobe")
        if self.settings.os == "Windows":
            self.cpp_info.system_libs = ["ws2_32", "iphlpapi", "bcrypt"]
            if not self.options.shared:
                self.cpp_info.defines = ["NP_STATIC"]
        elif self.settings.os in ("Linux", "FreeBSD"):
            self.cpp_info.system_libs = ["pthread"]
