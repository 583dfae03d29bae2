# SPDX-License-Identifier: MIT
# Sets MESON_ARGS in OpenWrt.
