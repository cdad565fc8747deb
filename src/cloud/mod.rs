//! The cloud as the engine sees it: small ports in domain words, and what stands behind them.
//!
//! One method of a port is one API request, so that `governed` can charge each attempt to its token bucket;
//! it also pages, retries reads, and asks again after definite throttles.

pub mod api;
pub mod aws;
pub mod classify;
pub mod governed;
pub mod port;
