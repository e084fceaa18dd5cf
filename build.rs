//! Sets the linker flags of a Node-API library.

fn main() {
    #[cfg(feature = "node")]
    napi_build::setup();
}
