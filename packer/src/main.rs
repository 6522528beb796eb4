//! symbiote-pack
use std::path::Path;
fn main() {
    let a: Vec<String> = std::env::args().collect();
    match symbiote_packer::convert(Path::new(&a[2]), Path::new(&a[4]), &Default::default(), &()) {
        Ok(r) => println!("{r:?}"),
        Err(e) => {
            eprintln!("{e}");
            std::process::exit(1)
        }
    }
}
