//! Checks of the area `utilities`, one topic a file.
