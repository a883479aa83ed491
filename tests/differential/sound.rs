//! The one way in which this library reads a journal differently from the shipped reader: NUL bytes. The fuzz
//! targets' oracle uses it too.

/// What the shipped reader must be given so that it reads what this library reads from `content`: without the NULs
/// that a power cut leaves at the end, and without the line that they cut off. `None` if there are NULs elsewhere:
/// that is damage.
pub fn sound(content: &[u8]) -> Option<&[u8]> {
    let written = content.iter().rposition(|byte| *byte != 0).map_or(0, |at| at + 1);
    let lines = content[..written].iter().rposition(|byte| *byte == b'\n');
    let end = match written == content.len() {
        true => written,
        false => lines.map_or(0, |at| at + 1),
    };
    (!content[..end].contains(&0)).then_some(&content[..end])
}
