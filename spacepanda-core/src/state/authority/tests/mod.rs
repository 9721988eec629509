mod duels;
mod gate;
mod histories;
mod lines;
mod reference;
mod world;
