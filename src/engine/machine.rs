//! Finds out which machine this is: settings, instance metadata, DMI.
