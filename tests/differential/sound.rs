//! Where this library reads a journal otherwise than the shipped reader: NUL bytes. Also for the fuzz targets' oracle.

/// What the shipped reader is to read for what this library reads: no NULs at the end, which a power cut leaves, nor
/// of the line that it cuts. `None`: there is one within, which is damage.
pub fn sound(content: &[u8]) -> Option<&[u8]> {
    let written = content.iter().rposition(|byte| *byte != 0).map_or(0, |at| at + 1);
    let lines = content[..written].iter().rposition(|byte| *byte == b'\n');
    let end = match written == content.len() {
        true => written,
        false => lines.map_or(0, |at| at + 1),
    };
    (!content[..end].contains(&0)).then_some(&content[..end])
}
