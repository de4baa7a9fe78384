//! What a suite says of the cluster that it runs on, for `epsball sweep`. No result depends on it.

use serde::{Deserialize, Serialize};

/// The `[cluster]` section of a suite. Values go to the cluster as they stand here.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Cluster {
    /// Partition or queue.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub partition: Option<String>,
    /// Account that pays.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub account: Option<String>,
    /// Limit of time of a process: `02:00:00`. What is not done by then is done by the next one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub time: Option<String>,
    /// Memory of a process: `8G`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory: Option<String>,
    /// Generic resources of a process: `gpu:1`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gres: Option<String>,
    /// Processor cores of a process; it computes with as many threads.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cpus: Option<u32>,
    /// Processes at a time; all of them unless told otherwise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at_once: Option<u32>,
    /// Further options of the command that submits, each a word: `--constraint=a100`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub options: Vec<String>,
    /// Modules that are loaded before.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub modules: Vec<String>,
    /// Lines of shell before the program is called.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub setup: Vec<String>,
    /// What stands before the program on its line: `apptainer exec --nv epsball.sif`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub container: Option<String>,
    /// The program where the job runs, if it has another path there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub program: Option<String>,
    /// A file in place of the script that comes with the program.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub template: Option<String>,
}
