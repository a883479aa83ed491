//! The shared library may have threads running, so it is never unloaded under them: neither by dlclose(3) nor with its last user.

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rustc-cdylib-link-arg=-Wl,-z,nodelete");
}
