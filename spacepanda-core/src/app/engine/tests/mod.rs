pub(super) mod help;
mod renewing;
