//! `package BINARY ZIP [--quick]`: builds the Lambda package, a zip archive that holds the binary as `bootstrap`. The same binary
//! gives the same bytes. Fails above [`MOST_BYTES`]. `--quick` builds a package for tests only: of any size, with little
//! compression.

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a command says what it did")]

use std::error::Error;
use std::fs;
use std::io::{Cursor, Write};
use std::path::Path;
use std::process::ExitCode;

use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, DateTime, ZipWriter};

/// 3.6 MB: keeps uploads and cold starts short.
const MOST_BYTES: usize = 3_600_000;
/// The glibc version of `provided.al2023`: 2.34.
const GLIBC: (u32, u32) = (2, 34);

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let (binary, archive, quick) = match arguments.as_slice() {
        [binary, archive] => (binary, archive, false),
        [binary, archive, option] if option == "--quick" => (binary, archive, true),
        _ => {
            eprintln!("usage: package BINARY ZIP [--quick]");
            return ExitCode::from(2);
        }
    };
    match package(Path::new(binary), Path::new(archive), quick) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("package: {error}");
            ExitCode::from(2)
        }
    }
}

fn package(binary: &Path, archive: &Path, quick: bool) -> Result<bool, Box<dyn Error>> {
    let program = fs::read(binary).map_err(|error| format!("{}: {error}", binary.display()))?;
    let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
    let options = SimpleFileOptions::default()
        .compression_method(CompressionMethod::Deflated)
        // levels above 9 select zopfli with that many iterations: 3 % smaller, for some seconds
        .compression_level(Some(if quick { 1 } else { 14 }))
        .last_modified_time(DateTime::default())
        .unix_permissions(0o755);
    zip.start_file("bootstrap", options)?;
    zip.write_all(&program)?;
    let bytes = zip.finish()?.into_inner();
    if let Some(folder) = archive.parent() {
        fs::create_dir_all(folder)?;
    }
    fs::write(archive, &bytes)?;
    if quick {
        println!("{}: {} bytes, for tests alone: not what is deployed", archive.display(), bytes.len());
        return Ok(true);
    }
    let fits = bytes.len() <= MOST_BYTES;
    println!(
        "{}: {} bytes, at most {MOST_BYTES}: {} (bootstrap: {} bytes, {})",
        archive.display(),
        bytes.len(),
        if fits { "ok" } else { "OVER" },
        program.len(),
        std::env::consts::ARCH,
    );
    if let Some(needed) = glibc_needed(&program).filter(|needed| *needed > GLIBC) {
        println!(
            "note: the binary needs glibc {}.{}, provided.al2023 has {}.{}: build it where glibc is no newer, as in an Amazon Linux 2023 container",
            needed.0, needed.1, GLIBC.0, GLIBC.1
        );
    }
    Ok(fits)
}

/// The newest glibc version among the symbol versions of a binary.
fn glibc_needed(program: &[u8]) -> Option<(u32, u32)> {
    const MARK: &[u8] = b"GLIBC_";
    let versions =
        program.windows(MARK.len()).enumerate().filter(|(_, window)| *window == MARK).filter_map(|(at, _)| {
            let rest = program.get(at + MARK.len()..)?;
            let end = rest.iter().position(|byte| !(byte.is_ascii_digit() || *byte == b'.'))?;
            let (major, minor) = std::str::from_utf8(&rest[..end]).ok()?.split_once('.')?;
            let minor = minor.split('.').next()?;
            Some((major.parse().ok()?, minor.parse().ok()?))
        });
    versions.max()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_glibc_counts() {
        let program = b"\0GLIBC_2.2.5\0GLIBC_2.34\0GLIBC_2.9\0GLIBC_PRIVATE\0";
        assert_eq!(glibc_needed(program), Some((2, 34)));
        assert_eq!(glibc_needed(b"static"), None);
    }
}
