//! The text of a screen that is had only as a picture: a VGA text mode's characters, known by their shapes.
//!
//! `vga.font` holds the printable ASCII characters of the IBM VGA font, 16 rows of 8 pixels each (the shapes are in the
//! public domain). Firmware of other makers draws some letters a little differently, so the nearest shape is taken.

use std::collections::HashMap;
use std::io::Cursor;

/// The shapes of the characters from the blank to the tilde.
const FONT: &[u8] = include_bytes!("vga.font");
/// Rows of a character.
const ROWS: usize = 16;
/// Columns of every text mode that boot loaders use.
const COLUMNS: usize = 80;
/// So many pixels of a shape may differ.
const NEAR: u32 = 10;

type Shape = [u8; ROWS];

/// A decoded picture: one value for each pixel's colour.
struct Picture {
    width: usize,
    height: usize,
    pixels: Vec<u32>,
}

impl Picture {
    fn decode(png: &[u8]) -> Option<Self> {
        let mut decoder = png::Decoder::new(Cursor::new(png));
        decoder.set_transformations(png::Transformations::EXPAND | png::Transformations::STRIP_16);
        let mut reader = decoder.read_info().ok()?;
        let mut bytes = vec![0; reader.output_buffer_size()?];
        let info = reader.next_frame(&mut bytes).ok()?;
        let samples = info.color_type.samples();
        let colours = match info.color_type {
            png::ColorType::GrayscaleAlpha => 1,
            png::ColorType::Rgba => 3,
            _ => samples,
        };
        let pixels = bytes[..info.buffer_size()]
            .chunks_exact(samples)
            .map(|sample| {
                let colour = sample.iter().take(colours);
                colour.fold(0, |value, part| (value << 8) | u32::from(*part))
            });
        Some(Self {
            width: info.width as usize,
            height: info.height as usize,
            pixels: pixels.collect(),
        })
    }

    /// The shape in a cell: the pixels that are not of the colour that most of it has. A character has two colours; none:
    /// this cell has more.
    fn shape(&self, cell_width: usize, column: usize, row: usize) -> Option<Shape> {
        let at = |x: usize, y: usize| {
            let index = (row * ROWS + y) * self.width + column * cell_width + x;
            self.pixels.get(index).copied().unwrap_or_default()
        };
        let first = at(0, 0);
        let others = (0..ROWS).flat_map(|y| (0..8).map(move |x| (x, y)));
        let mut differing = others.filter(|(x, y)| at(*x, *y) != first);
        let second = differing.next().map(|(x, y)| at(x, y));
        let mut differ = usize::from(second.is_some());
        for (x, y) in differing {
            if Some(at(x, y)) != second {
                return None;
            }
            differ += 1;
        }
        let ink_is_first = differ > 8 * ROWS / 2;
        let mut shape = [0; ROWS];
        for (y, bits) in shape.iter_mut().enumerate() {
            for x in 0..8 {
                let ink = (at(x, y) != first) != ink_is_first;
                *bits = (*bits << 1) | u8::from(ink);
            }
        }
        Some(shape)
    }
}

/// The lines of a text screen, trimmed at the right; `None` for a picture that is none.
pub(super) fn read(png: &[u8]) -> Option<String> {
    let picture = Picture::decode(png)?;
    let cell_width = picture.width / COLUMNS;
    let lines = picture.height / ROWS;
    let text_mode = matches!(cell_width, 8 | 9)
        && picture.width == cell_width * COLUMNS
        && picture.height == lines * ROWS
        && lines >= 25;
    if !text_mode {
        return None;
    }
    let mut known: HashMap<Option<Shape>, Option<char>> = HashMap::new();
    let (mut strange, mut drawn) = (0, 0);
    let mut text = Vec::new();
    for row in 0..lines {
        let mut line = String::new();
        for column in 0..COLUMNS {
            let shape = picture.shape(cell_width, column, row);
            let character = *known.entry(shape).or_insert_with(|| nearest(&shape?));
            drawn += usize::from(shape != Some([0; ROWS]));
            strange += usize::from(character.is_none());
            line.push(character.unwrap_or(' '));
        }
        text.push(line.trim_end().to_owned());
    }
    // frames and arrows are strange too, but a text screen is not made of them
    if strange * 2 > drawn {
        return None;
    }
    Some(text.join("\n").trim_end().to_owned())
}

/// The character whose shape is nearest, if one is near.
fn nearest(shape: &Shape) -> Option<char> {
    let distance = |glyph: &[u8]| -> u32 {
        let pairs = glyph.iter().zip(shape);
        pairs.map(|(a, b)| (a ^ b).count_ones()).sum()
    };
    let glyphs = (b' '..=b'~').map(char::from).zip(FONT.chunks_exact(ROWS));
    let (best, character) = glyphs.map(|(c, glyph)| (distance(glyph), c)).min()?;
    (best <= NEAR).then_some(character)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A picture of `text` as a text mode draws it.
    fn draw(text: &str, cell_width: usize, noise: bool) -> Vec<u8> {
        let (width, height) = (cell_width * COLUMNS, 25 * ROWS);
        let mut pixels = vec![[0u8, 0, 170]; width * height];
        for (row, line) in text.lines().enumerate() {
            for (column, c) in line.bytes().enumerate() {
                let glyph = &FONT[usize::from(c - b' ') * ROWS..][..ROWS];
                for (y, bits) in glyph.iter().enumerate() {
                    for x in 0..8 {
                        let flipped = noise && y == 14 && x < 3;
                        if (bits >> (7 - x) & 1 == 1) != flipped {
                            pixels[(row * ROWS + y) * width + column * cell_width + x] = [170; 3];
                        }
                    }
                }
            }
        }
        let mut out = Vec::new();
        let mut encoder = png::Encoder::new(&mut out, width as u32, height as u32);
        encoder.set_color(png::ColorType::Rgb);
        let mut writer = encoder.write_header().unwrap();
        writer.write_image_data(pixels.as_flattened()).unwrap();
        drop(writer);
        out
    }

    #[test]
    fn a_text_screen_is_read_back() {
        let all: String = (' '..='~').collect();
        let text = format!(
            "boot: [Tab] to edit options, 0Oo1lI|\n\n{}\n{}",
            &all[1..60],
            &all[60..]
        );
        for cell_width in [8, 9] {
            for noise in [false, true] {
                assert_eq!(
                    read(&draw(&text, cell_width, noise)).as_deref(),
                    Some(text.as_str())
                );
            }
        }
    }

    #[test]
    fn other_pictures_have_no_text() {
        assert_eq!(read(b"no picture"), None);
        let mut out = Vec::new();
        let mut encoder = png::Encoder::new(&mut out, 640, 480);
        encoder.set_color(png::ColorType::Grayscale);
        let noise: Vec<u8> = (0..640 * 480u32)
            .map(|n| (n.wrapping_mul(2_654_435_761) >> 24) as u8)
            .collect();
        let mut writer = encoder.write_header().unwrap();
        writer.write_image_data(&noise).unwrap();
        drop(writer);
        assert_eq!(read(&out), None);
    }
}
