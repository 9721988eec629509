//! Writes what fuzzing begins with, into `corpus`: valid samples of every decoder.

use std::{fs, io, path::Path};

use spacepanda_core::base::decoder::Sampler;
use spacepanda_fuzz::{group, groups};

const SEEDS: u64 = 8;

fn main() -> io::Result<()> {
    for name in groups() {
        let folder = Path::new("corpus").join(name);
        fs::create_dir_all(&folder)?;
        for (index, decoder) in (0u8..).zip(group(name)) {
            let samples = (0..SEEDS).flat_map(|seed| (decoder.samples)(&mut Sampler::new(seed)));
            for (number, sample) in samples.enumerate() {
                let file = folder.join(format!("{}-{number}", decoder.name.replace(' ', "-")));
                fs::write(file, [&[index][..], &sample].concat())?;
            }
        }
    }
    Ok(())
}
