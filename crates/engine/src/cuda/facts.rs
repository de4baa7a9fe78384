//! What there is to know about a GPU before anything runs on it.

/// A GPU that opened.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
#[non_exhaustive]
pub struct GpuFacts {
    /// As its maker calls it.
    pub name: String,
    /// Its compute capability, as `9.0`.
    pub capability: String,
    /// Bytes of free memory.
    pub free_memory: usize,
    /// Bytes of memory in all.
    pub memory: usize,
    /// The version of cuDNN that is used; none if it is not found or too old.
    pub cudnn: Option<String>,
}
