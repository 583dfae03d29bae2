# SPDX-License-Identifier: MIT
# "make all" builds, and installs each package into OUT/PACKAGE, and what other packages build against into OUT/dev.
PKG_INSTALL_DIR := $(OUT)/installed
$(foreach name,PKG_NAME PKG_VERSION PKG_RELEASE PKG_SOURCE PKG_HASH PKG_LICENSE,$(if $($(name)),,$(error $(name) is not set)))

define BuildPackage
$(foreach field,SECTION CATEGORY TITLE,$(if $(findstring $(field):=,$(Package/$(1))),,$(error Package/$(1) has no $(field))))
$(if $(Package/$(1)/description),,$(error Package/$(1) has no description))
all: package-$(1)
.PHONY: package-$(1)
package-$(1): compile
	$$(call Package/$(1)/install,$(OUT)/$(1))
endef

.PHONY: all compile
all: compile
compile:
	meson setup $(OUT)/build $(SOURCE) --prefix=/usr --libdir=lib --buildtype=plain $(MESON_ARGS)
	meson compile -C $(OUT)/build
	DESTDIR=$(PKG_INSTALL_DIR) meson install -C $(OUT)/build
	$(call Build/InstallDev,$(OUT)/dev)
