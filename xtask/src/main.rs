//! Build and CI chores.
fn main() {}
