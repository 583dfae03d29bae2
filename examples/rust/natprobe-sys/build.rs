// SPDX-License-Identifier: MIT
//! Finds libnatprobe with pkg-config: PKG_CONFIG_PATH tells where, LIBNATPROBE_STATIC=1 links it
//! statically.

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    // Documentation needs no library, and docs.rs has none.
    if std::env::var_os("DOCS_RS").is_some() {
        return;
    }
    let found = pkg_config::Config::new()
        .atleast_version("0.4")
        .probe("libnatprobe");
    if let Err(error) = found {
        eprintln!("{error}");
        std::process::exit(1);
    }
}
