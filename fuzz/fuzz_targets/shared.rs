//! What all targets have in common: input for readers that take a path, and a limit on memory.
// Every target is a program of its own and uses a part of this.
#![allow(dead_code)]

use std::alloc::{GlobalAlloc, Layout, System};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

/// Most bytes that are asked for at once. Inputs have a few kilobytes.
const AT_ONCE: usize = 512 << 20;

/// Most bytes that are held at a time.
const TOGETHER: usize = 1 << 30;

/// The system's allocator with an end. libFuzzer has limits of its own, but the one on single
/// allocations needs the hooks of a sanitizer, and the one on resident memory does not see pages that
/// are never touched.
struct Limited;

#[global_allocator]
static ALLOCATOR: Limited = Limited;

static HELD: AtomicUsize = AtomicUsize::new(0);

/// Counts `size` bytes and ends the process if they are too many.
fn charge(size: usize) {
    let held = HELD.fetch_add(size, Relaxed).saturating_add(size);
    if size > AT_ONCE || held > TOGETHER {
        eprintln!("out of bounds: {size} bytes asked for, {held} held with them");
        std::process::abort();
    }
}

// SAFETY: every method is the system's own with the same arguments; counting allocates nothing.
unsafe impl GlobalAlloc for Limited {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        charge(layout.size());
        // SAFETY: the caller's promise.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        charge(layout.size());
        // SAFETY: the caller's promise.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        // The old block counts until the new one is there, as it does when a block moves.
        charge(size);
        // SAFETY: the caller's promise.
        let moved = unsafe { System.realloc(block, layout, size) };
        HELD.fetch_sub(if moved.is_null() { size } else { layout.size() }, Relaxed);
        moved
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        HELD.fetch_sub(layout.size(), Relaxed);
        // SAFETY: the caller's promise.
        unsafe { System.dealloc(block, layout) }
    }
}

/// The file `name` of this process, with this content.
pub fn file(name: &str, bytes: &[u8]) -> PathBuf {
    let path = folder().join(name);
    if std::fs::write(&path, bytes).is_err() {
        let parent = path.parent().expect("it lies in the folder of the process");
        std::fs::create_dir_all(parent).expect("the temporary folder is writable");
        std::fs::write(&path, bytes).expect("the temporary folder is writable");
    }
    path
}

/// Removes the file `name` of this process, if there is one.
pub fn no_file(name: &str) {
    let _ = std::fs::remove_file(folder().join(name));
}

/// The folder of this process; `run.sh` puts it into memory.
pub fn folder() -> PathBuf {
    std::env::temp_dir().join(format!("epsball-fuzz-{}", std::process::id()))
}

/// Writes `path` the way specifications of data want it.
pub fn text(path: &Path) -> String {
    path.display().to_string()
}

/// A zip archive of these members, stored as they are or deflated.
pub fn archive(members: &[(&str, &[u8])], deflate: bool) -> Vec<u8> {
    use std::io::Write as _;
    use zip::write::{SimpleFileOptions, ZipWriter};
    let method = match deflate {
        true => zip::CompressionMethod::Deflated,
        false => zip::CompressionMethod::Stored,
    };
    let mut writer = ZipWriter::new(std::io::Cursor::new(Vec::new()));
    let options = SimpleFileOptions::default().compression_method(method);
    for (name, bytes) in members {
        writer.start_file(*name, options).expect("a short name");
        writer.write_all(bytes).expect("memory takes it");
    }
    writer.finish().expect("memory takes it").into_inner()
}

/// A safetensors file with this header, and as many zeros behind it as it asks for if those are few.
pub fn safetensors(header: &[u8]) -> Vec<u8> {
    let asked = serde_json::from_slice::<safetensors::tensor::Metadata>(header);
    let zeros = asked.map_or(0, |metadata| metadata.data_len()).min(1 << 16);
    let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
    bytes.extend(header);
    bytes.resize(bytes.len() + zeros, 0);
    bytes
}

/// The parts of a text, divided by lines `---`.
pub fn parts(bytes: &[u8]) -> Vec<&[u8]> {
    const LINE: &[u8] = b"\n---\n";
    let mut parts = Vec::new();
    let mut rest = bytes;
    while let Some(at) = rest.windows(LINE.len()).position(|window| window == LINE) {
        // The line feed stays with the part before it.
        parts.push(&rest[..=at]);
        rest = &rest[at + LINE.len()..];
    }
    parts.push(rest);
    parts
}
