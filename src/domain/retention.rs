//! Which images of a series stay and which go, each with its reasons.
