//! Two or three devices in a simulated world, single bodies, and hostile frames.

mod absence;
mod bodies;
mod gaps;
mod hostile;
mod stories;
mod world;
