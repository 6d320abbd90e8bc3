//! What is said of a plugin that goes from the process that started it to the one that uses it.

use serde::{Deserialize, Serialize};

use crate::{Descriptor, Report};

/// A plugin on its way from the process that started it to the one that will use it: both belong
/// to one user. What is here is all that the other needs to make a [`Child`](crate::Child) of it.
#[derive(Debug)]
pub struct Handover {
    /// What the other process cannot see for itself.
    pub note: HandoverNote,
    /// In this order: the control socket, a pidfd of the keeper, one of the plugin, standard
    /// output, standard error.
    pub descriptors: Vec<Descriptor>,
}

/// What is said of a plugin that is handed over.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HandoverNote {
    /// The process of the plugin, as its starter numbers it: to be shown.
    pub pid: u32,
    /// The process of its keeper.
    pub keeper: u32,
    /// What is enforced on it.
    pub report: Report,
}
