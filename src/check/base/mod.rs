//! Checks of the area `base`, one topic a file.
