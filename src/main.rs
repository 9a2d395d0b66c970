//! The `skydose` command.

fn main() {}
