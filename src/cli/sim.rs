//! `stillframe sim`: the simulated world behind its HTTP door.
