//! The CUDA backend.
//!
//! The kernels are in `kernels/`; [`layout`] is what they and this side agree
//! on.

pub mod layout;
