// SPDX-License-Identifier: MIT
//! Finds libnatprobe with pkg-config, or compiles it from the copy in `vendored/`.
//!
//! `NATPROBE_SYS_VENDORED=1` compiles it, and `=0` never does. Without the variable the feature
//! `vendored` compiles it. Without both the system's library is taken, and the copy if there is none.
//!
//! `PKG_CONFIG_PATH` tells where to look, `LIBNATPROBE_STATIC=1` links the system's library statically.

use std::env;
use std::process;

const VARIABLE: &str = "NATPROBE_SYS_VENDORED";

enum Source {
    Copy,
    System,
    Either,
}

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rerun-if-changed=vendored");
    println!("cargo:rerun-if-env-changed={VARIABLE}");
    // Documentation needs no library, and docs.rs has none.
    if env::var_os("DOCS_RS").is_some() {
        return;
    }
    match source() {
        Source::Copy => compile(),
        Source::System => {
            if let Err(error) = find() {
                give_up(&format!(
                    "{error}\n{VARIABLE}=0 forbids to compile the copy"
                ));
            }
        }
        Source::Either => {
            if find().is_err() {
                compile();
            }
        }
    }
}

fn source() -> Source {
    match env::var(VARIABLE).as_deref() {
        Ok("1") => Source::Copy,
        Ok("0") => Source::System,
        Ok("") | Err(env::VarError::NotPresent) if cfg!(feature = "vendored") => Source::Copy,
        Ok("") | Err(env::VarError::NotPresent) => Source::Either,
        _ => give_up(&format!("{VARIABLE} has to be 0, 1 or nothing")),
    }
}

fn give_up(why: &str) -> ! {
    eprintln!("{why}");
    process::exit(1);
}

fn find() -> Result<(), pkg_config::Error> {
    pkg_config::Config::new()
        .atleast_version("0.4")
        .probe("libnatprobe")
        .map(drop)
}

/// Links it statically. Programs that ask for `DEP_NATPROBE_INCLUDE` find the header there.
fn compile() {
    let system = env::var("CARGO_CFG_TARGET_OS").unwrap_or_default();
    let root = env::var("CARGO_MANIFEST_DIR").unwrap_or_default();
    let mut build = cc::Build::new();
    build
        .file("vendored/natprobe.c")
        .include("vendored")
        .define("NP_STATIC", None)
        .flag_if_supported("-std=c11")
        .flag_if_supported("/std:c11")
        .flag_if_supported("-fvisibility=hidden")
        .flag_if_supported(format!("-ffile-prefix-map={root}=."))
        .warnings(false);
    build.compile("natprobe");
    println!("cargo:include={root}/vendored");
    let libraries: &[&str] = match system.as_str() {
        "windows" => &["ws2_32", "iphlpapi", "bcrypt"],
        "android" | "macos" | "ios" => &[],
        _ => &["pthread"],
    };
    for library in libraries {
        println!("cargo:rustc-link-lib={library}");
    }
}
