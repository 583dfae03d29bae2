# SPDX-License-Identifier: MIT
# What the Makefile uses of OpenWrt's, for a build with meson on this system: OpenWrt itself cannot be had here.
INSTALL_DIR := install -d -m0755
INSTALL_BIN := install -m0755
CP := cp -fpR
