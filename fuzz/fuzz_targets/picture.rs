//! PNG and JPEG images in a folder of classes; the first byte chooses the preprocessing, or with 5 the list of
//! images of an ImageNet folder, which the rest then is.
#![no_main]

use epsball::data;
use libfuzzer_sys::fuzz_target;

#[path = "shared.rs"]
mod shared;

const PREPROCESSINGS: [&str; 5] =
    ["", ",Res256Crop224", ",BicubicRes224Crop224", ",Res224", ",Crop288"];

fuzz_target!(|bytes: &[u8]| {
    let Some((choice, bytes)) = bytes.split_first() else { return };
    let specification = match PREPROCESSINGS.get(usize::from(choice % 6)) {
        Some(preprocessing) => {
            shared::file("folder/class/image.png", bytes);
            format!("folder:{}{preprocessing}", shared::text(&shared::folder().join("folder")))
        }
        None => {
            let root = shared::folder().join("imagenet");
            if !root.exists() {
                for class in 0..1000 {
                    std::fs::create_dir_all(root.join(format!("n{class:08}")))
                        .expect("the temporary folder is writable");
                }
                shared::file("imagenet/n00000003/a.JPEG", b"");
                shared::file("imagenet/n00000999/b.JPEG", b"");
            }
            let list = shared::text(&shared::file("ids.txt", bytes));
            format!("imagenet:{},Res224,{list}", shared::text(&root))
        }
    };
    if let Ok(data) = data::open(&specification) {
        let _ = data.read(&[0]);
    }
});
