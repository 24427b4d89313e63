//! The VGA text screen, read from the guest's memory.
//!
//! The text window at 0xb8000 holds 32 KiB, of which 4000 bytes are visible; Linux's console moves the visible part
//! along as it scrolls, so all of it is read. In a graphics mode the window is not mapped and reads as ones.

use std::path::Path;

use crate::provider::ProviderError;

/// Where the text window lies in the guest's physical memory.
pub(super) const ADDRESS: u64 = 0xb_8000;
/// How many bytes it has.
pub(super) const SIZE: u64 = 32_768;
/// Characters in a row. Wider text modes exist, but no boot loader or installer uses them.
pub(super) const COLUMNS: usize = 80;

/// What code page 437 shows for the bytes from 0x80 on.
const UPPER_HALF: &str = "ÇüéâäàåçêëèïîìÄÅÉæÆôöòûùÿÖÜ¢£¥₧ƒáíóúñÑªº¿⌐¬½¼¡«»░▒▓│┤╡╢╖╕╣║╗╝╜╛┐└┴┬├─┼╞╟╚╔╩╦╠═╬╧╨╤╥╙╘╒╓╫╪┘┌█▄▌▐▀αßΓπΣσµτΦΘΩδ∞φε∩≡±≥≤⌠⌡÷≈°∙·√ⁿ²■ ";

/// The characters of a text screen, row after row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Cells(pub(super) Vec<char>);

impl Cells {
    /// Decodes the text window; `None` in a graphics mode.
    pub(super) fn decode(window: &[u8]) -> Option<Self> {
        if window.iter().all(|byte| *byte == 0xff) {
            return None;
        }
        let upper: Vec<char> = UPPER_HALF.chars().collect();
        let cells = window.iter().step_by(2).map(|byte| match byte {
            0x20..=0x7e => char::from(*byte),
            0x80.. => upper.get(usize::from(*byte) - 0x80).copied().unwrap_or(' '),
            // arrows, frames and smileys of the lower range: nothing that anyone waits for
            _ => ' ',
        });
        Some(Self(cells.collect()))
    }

    /// The rows, trimmed at the right; blank ones at the end are left out.
    pub(super) fn text(&self) -> String {
        let rows = self.0.chunks(COLUMNS).map(|row| {
            let row: String = row.iter().collect();
            row.trim_end().to_owned()
        });
        let text = rows.collect::<Vec<_>>().join("\n");
        text.trim_end().to_owned()
    }
}

/// Turns a binary PPM picture (`P6`, 255 levels, as QEMU writes them) into a PNG file.
pub(super) fn ppm_to_png(ppm: &Path, to: &Path) -> Result<(), ProviderError> {
    let io_error = |path: &Path, source| ProviderError::Io {
        path: path.to_owned(),
        source,
    };
    let bytes = std::fs::read(ppm).map_err(|e| io_error(ppm, e))?;
    let broken = || ProviderError::Failed("qemu wrote a picture that is no PPM".to_owned());
    let (width, height, pixels) = ppm_parts(&bytes).ok_or_else(broken)?;
    let mut out = Vec::new();
    let mut encoder = png::Encoder::new(&mut out, width, height);
    encoder.set_color(png::ColorType::Rgb);
    encoder
        .write_header()
        .and_then(|mut writer| writer.write_image_data(pixels))
        .map_err(|_| broken())?;
    std::fs::write(to, out).map_err(|e| io_error(to, e))
}

fn ppm_parts(bytes: &[u8]) -> Option<(u32, u32, &[u8])> {
    let mut rest = bytes.strip_prefix(b"P6")?;
    let mut numbers = [0; 3];
    for number in &mut numbers {
        rest = rest.trim_ascii_start();
        let end = rest.iter().position(|b| !b.is_ascii_digit())?;
        *number = std::str::from_utf8(&rest[..end]).ok()?.parse().ok()?;
        rest = &rest[end..];
    }
    let [width, height, levels] = numbers;
    (levels == 255).then_some((width, height, rest.get(1..)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn window(text: &[u8]) -> Vec<u8> {
        let mut window = vec![0; SIZE as usize];
        for (at, byte) in text.iter().enumerate() {
            window[2 * at] = *byte;
            window[2 * at + 1] = 7;
        }
        window
    }

    #[test]
    fn rows_are_read_wherever_the_console_has_moved_to() {
        let mut text = vec![b' '; 80 * 100];
        text[..6].copy_from_slice(b"boot: ");
        text[80 * 99..80 * 99 + 4].copy_from_slice(b"ks: ");
        text[80] = 0xc9;
        let shown = Cells::decode(&window(&text)).unwrap().text();
        let rows: Vec<_> = shown.split('\n').collect();
        assert_eq!(
            (rows.len(), rows[0], rows[1], rows[99]),
            (100, "boot:", "╔", "ks:")
        );
    }

    #[test]
    fn a_graphics_mode_has_no_text_and_a_blank_screen_has_an_empty_one() {
        assert_eq!(Cells::decode(&vec![0xff; SIZE as usize]), None);
        assert_eq!(Cells::decode(&window(b"")).unwrap().text(), "");
    }

    #[test]
    fn the_code_page_is_complete() {
        assert_eq!(UPPER_HALF.chars().count(), 128);
        assert_ne!(
            crate::provider::fingerprint(b"a"),
            crate::provider::fingerprint(b"b")
        );
        assert_eq!(
            crate::provider::fingerprint(b"a"),
            crate::provider::fingerprint(b"a")
        );
    }

    #[test]
    fn pictures_of_old_qemus_become_png() {
        let dir = tempfile::tempdir().unwrap();
        let (ppm, png) = (dir.path().join("a.ppm"), dir.path().join("a.png"));
        std::fs::write(&ppm, b"P6\n2 1\n255\n\x01\x02\x03\xff\x00\x0a").unwrap();
        ppm_to_png(&ppm, &png).unwrap();
        let file = std::io::BufReader::new(std::fs::File::open(&png).unwrap());
        let mut reader = png::Decoder::new(file).read_info().unwrap();
        let mut pixels = vec![0; 6];
        let info = reader.next_frame(&mut pixels).unwrap();
        assert_eq!((info.width, info.height), (2, 1));
        assert_eq!(pixels, [1, 2, 3, 255, 0, 10]);
        std::fs::write(&ppm, b"P6\n2 ").unwrap();
        let error = ppm_to_png(&ppm, &png).unwrap_err();
        assert_eq!(error.to_string(), "qemu wrote a picture that is no PPM");
    }
}
