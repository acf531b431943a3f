//! Faults while a connector is taken over.
