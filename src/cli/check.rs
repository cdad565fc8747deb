//! `stillframe check`: reads the configuration and says all that is wrong with it.
