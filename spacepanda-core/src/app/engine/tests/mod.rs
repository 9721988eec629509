mod drafts;
pub(super) mod help;
mod renewing;
