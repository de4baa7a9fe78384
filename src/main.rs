//! The `epsball` binary.
fn main() {}
