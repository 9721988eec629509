mod help;
mod renewing;
