mod devices;
mod duels;
mod gate;
mod histories;
mod history;
mod lines;
mod reference;
mod world;
