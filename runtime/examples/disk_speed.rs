//! How fast an archive is read from disk, by each backend: `cargo run --release --example disk_speed -- model.pak`

use std::time::Duration;

use symbiote_runtime::pak::{AsyncPrefetcher, Backend, PakFile, PrefetchOptions, measure};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let path = std::env::args().nth(1).ok_or("name an archive")?;
    let file = PakFile::open(path)?;
    for backend in [Backend::Uring, Backend::Pread] {
        for direct in [true, false] {
            let options = PrefetchOptions { backend: Some(backend), direct, ..Default::default() };
            match AsyncPrefetcher::open(&file, options) {
                Ok(opened) if opened.direct() == direct => {
                    let speed = measure(&file, Duration::from_secs(2), options)? / 1e9;
                    println!(
                        "{backend}, {}: {speed:.2} GB/s",
                        if direct { "direct" } else { "through the page cache" }
                    );
                }
                Ok(_) => println!("{backend}: this file system has no direct reads"),
                Err(error) => println!("{error}"),
            }
        }
    }
    Ok(())
}
