//! The values of a column, decoded from its pages row by row. The parquet crate has such a reader, which ends
//! the program where a damaged page is shorter than it says; here everything is compared with the bytes that
//! are there. Encodings are the two that image data sets have: plain, and indices into a dictionary.

use ::bytes::{Buf as _, Bytes};
use ::parquet::basic::{Encoding, Type};
use ::parquet::column::page::{Page, PageReader};
use ::parquet::errors::Result;
use ::parquet::schema::types::ColumnDescriptor;

use super::pages::error;

/// What a column holds.
pub(super) trait Plain: Clone {
    /// Cuts the first value off `bytes`, which are of the type `kind`; `None` if it is not all there.
    fn cut(bytes: &mut Bytes, kind: Type) -> Option<Self>;
}

impl Plain for i64 {
    fn cut(bytes: &mut Bytes, kind: Type) -> Option<Self> {
        match kind {
            Type::INT64 => bytes.try_get_i64_le().ok(),
            _ => bytes.try_get_i32_le().ok().map(Self::from),
        }
    }
}

impl Plain for Bytes {
    fn cut(bytes: &mut Bytes, _: Type) -> Option<Self> {
        let length = bytes.try_get_u32_le().ok()? as usize;
        (length <= bytes.len()).then(|| bytes.split_to(length))
    }
}

/// A column without lists, before the next of its rows.
pub(super) struct Column<V> {
    pages: Box<dyn PageReader>,
    kind: Type,
    /// The level at which a value is there; below it is missing, or a group around it.
    there: u32,
    dictionary: Option<Vec<V>>,
    /// Rows left in the page.
    left: usize,
    levels: Runs,
    values: Values,
}

/// The values of a page that are there.
enum Values {
    Plain(Bytes),
    Indices(Runs),
}

impl<V: Plain> Column<V> {
    pub(super) fn new(pages: Box<dyn PageReader>, about: &ColumnDescriptor) -> Self {
        Self {
            pages,
            kind: about.physical_type(),
            there: u32::try_from(about.max_def_level()).unwrap_or(0),
            dictionary: None,
            left: 0,
            levels: Runs::new(Bytes::new(), 0),
            values: Values::Plain(Bytes::new()),
        }
    }

    /// The next row: its value, or `None` if that is missing. `None` behind the last row.
    ///
    /// # Errors
    /// If the column is damaged.
    pub(super) fn next(&mut self) -> Result<Option<Option<V>>> {
        while self.left == 0 {
            if !self.open_page()? {
                return Ok(None);
            }
        }
        self.left -= 1;
        if self.there > 0 && self.levels.next()? != self.there {
            return Ok(Some(None));
        }
        let value = match &mut self.values {
            Values::Plain(bytes) => V::cut(bytes, self.kind),
            Values::Indices(indices) => {
                let index = indices.next()? as usize;
                self.dictionary.as_ref().and_then(|values| values.get(index).cloned())
            }
        };
        value.map(|value| Some(Some(value))).ok_or_else(|| error("a page lacks a value"))
    }

    /// Passes over `rows` rows, whole pages unread; how many there were.
    ///
    /// # Errors
    /// If the column is damaged.
    pub(super) fn skip(&mut self, rows: usize) -> Result<usize> {
        let mut passed = 0;
        while passed < rows {
            if self.left == 0 {
                match self.pages.peek_next_page()? {
                    None => break,
                    Some(page) if !page.is_dict => {
                        let own = page.num_rows.or(page.num_levels);
                        if let Some(own) = own.filter(|own| *own <= rows - passed) {
                            self.pages.skip_next_page()?;
                            passed += own;
                            continue;
                        }
                    }
                    Some(_) => {}
                }
            }
            if self.next()?.is_none() {
                break;
            }
            passed += 1;
        }
        Ok(passed)
    }

    /// Goes on to the next page of rows; `false` if there is none.
    fn open_page(&mut self) -> Result<bool> {
        let Some(page) = self.pages.get_next_page()? else { return Ok(false) };
        let (rows, encoding, levels, values) = match page {
            Page::DictionaryPage { buf, num_values, .. } => {
                self.dictionary = Some(self.dictionary(buf, num_values)?);
                return Ok(true);
            }
            Page::DataPage { mut buf, num_values, encoding, def_level_encoding, .. } => {
                let mut levels = Bytes::new();
                if self.there > 0 {
                    if def_level_encoding != Encoding::RLE {
                        return Err(error(format!("levels are encoded as {def_level_encoding}")));
                    }
                    let cut = Bytes::cut(&mut buf, Type::BYTE_ARRAY);
                    levels = cut.ok_or_else(|| error("a page lacks its levels"))?;
                }
                (num_values, encoding, levels, buf)
            }
            Page::DataPageV2 {
                mut buf,
                num_values,
                encoding,
                def_levels_byte_len,
                rep_levels_byte_len,
                ..
            } => {
                let (first, second) = (rep_levels_byte_len as usize, def_levels_byte_len as usize);
                if first.saturating_add(second) > buf.len() {
                    return Err(error("a page lacks its levels"));
                }
                buf.advance(first);
                let levels = buf.split_to(second);
                (num_values, encoding, levels, buf)
            }
        };
        self.left = rows as usize;
        self.levels = Runs::new(levels, u32::BITS - self.there.leading_zeros());
        self.values = match encoding {
            Encoding::PLAIN => Values::Plain(values),
            Encoding::PLAIN_DICTIONARY | Encoding::RLE_DICTIONARY => Values::indices(values)?,
            other => return Err(error(format!("a page is encoded as {other}"))),
        };
        Ok(true)
    }

    fn dictionary(&self, mut bytes: Bytes, values: u32) -> Result<Vec<V>> {
        // Nothing is allocated for the number: a value has bytes.
        let mut dictionary = Vec::new();
        for _ in 0..values {
            let value = V::cut(&mut bytes, self.kind);
            dictionary.push(value.ok_or_else(|| error("a dictionary lacks a value"))?);
        }
        Ok(dictionary)
    }
}

impl Values {
    /// Indices of a page, behind a byte that says how wide they are.
    fn indices(mut bytes: Bytes) -> Result<Self> {
        match bytes.try_get_u8() {
            // A page without values has nothing.
            Err(_) => Ok(Self::Indices(Runs::new(bytes, 0))),
            Ok(width @ 0..=32) => Ok(Self::Indices(Runs::new(bytes, width.into()))),
            Ok(width) => Err(error(format!("indices of {width} bits"))),
        }
    }
}

/// Small numbers in runs, which either repeat one or pack several bit by bit.
struct Runs {
    bytes: Bytes,
    /// Bits of a number, at most 32.
    width: u32,
    left: u64,
    run: Run,
}

enum Run {
    Repeated(u32),
    /// The bits from this one on.
    Packed(u64),
}

impl Runs {
    fn new(bytes: Bytes, width: u32) -> Self {
        Self { bytes, width, left: 0, run: Run::Repeated(0) }
    }

    fn next(&mut self) -> Result<u32> {
        while self.left == 0 {
            self.open_run().ok_or_else(|| error("a page ends before its rows"))?;
        }
        self.left -= 1;
        match &mut self.run {
            Run::Repeated(number) => Ok(*number),
            Run::Packed(at) => {
                let (byte, bit) = ((*at / 8) as usize, *at % 8);
                *at += u64::from(self.width);
                let last = at.div_ceil(8) as usize;
                let bits = self.bytes.get(byte..last);
                let bits = bits.ok_or_else(|| error("a page ends before its rows"))?;
                // At most five bytes, lowest first.
                let word = bits.iter().rev().fold(0_u64, |word, b| word << 8 | u64::from(*b));
                let number = word >> bit & ((1 << self.width) - 1);
                Ok(number as u32)
            }
        }
    }

    /// Goes on to the next run; `None` if there is none.
    fn open_run(&mut self) -> Option<()> {
        if let Run::Packed(end) = self.run {
            // The bits of the run before; the last one may be cut off where its rows end.
            let end = usize::try_from(end.div_ceil(8)).ok()?;
            self.bytes.advance(end.min(self.bytes.len()));
            self.run = Run::Repeated(0);
        }
        let (mut head, mut byte) = (0_u64, 0x80);
        for place in 0..5 {
            if byte >= 0x80 {
                byte = self.bytes.try_get_u8().ok()?;
                head |= u64::from(byte & 0x7f) << (7 * place);
            }
        }
        if byte >= 0x80 {
            return None;
        }
        if head & 1 == 1 {
            self.left = 8 * (head >> 1);
            self.run = Run::Packed(0);
        } else {
            let mut number = [0; 4];
            let bytes = self.width.div_ceil(8) as usize;
            self.bytes.try_copy_to_slice(&mut number[..bytes]).ok()?;
            self.left = head >> 1;
            self.run = Run::Repeated(u32::from_le_bytes(number));
        }
        Some(())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use ::parquet::column::page::PageMetadata;
    use ::parquet::schema::parser::parse_message_type;
    use ::parquet::schema::types::SchemaDescriptor;

    use super::*;

    /// Pages from memory.
    struct Pages(std::vec::IntoIter<Page>);

    impl Iterator for Pages {
        type Item = Result<Page>;

        fn next(&mut self) -> Option<Self::Item> {
            self.0.next().map(Ok)
        }
    }

    impl PageReader for Pages {
        fn get_next_page(&mut self) -> Result<Option<Page>> {
            Ok(self.0.next())
        }

        fn peek_next_page(&mut self) -> Result<Option<PageMetadata>> {
            let page = self.0.as_slice().first();
            Ok(page.map(|page| PageMetadata {
                num_rows: None,
                num_levels: Some(page.num_values() as usize),
                is_dict: page.is_dictionary_page(),
            }))
        }

        fn skip_next_page(&mut self) -> Result<()> {
            self.0.next();
            Ok(())
        }
    }

    fn column<V: Plain>(kind: &str, pages: Vec<Page>) -> Column<V> {
        let schema = parse_message_type(&format!("message m {{ OPTIONAL {kind} c; }}")).unwrap();
        let about = SchemaDescriptor::new(Arc::new(schema)).column(0);
        Column::new(Box::new(Pages(pages.into_iter())), &about)
    }

    fn data(num_values: u32, encoding: Encoding, buf: &[u8]) -> Page {
        Page::DataPage {
            buf: Bytes::copy_from_slice(buf),
            num_values,
            encoding,
            def_level_encoding: Encoding::RLE,
            rep_level_encoding: Encoding::RLE,
            statistics: None,
        }
    }

    fn dictionary(num_values: u32, buf: &[u8]) -> Page {
        let buf = Bytes::copy_from_slice(buf);
        Page::DictionaryPage { buf, num_values, encoding: Encoding::PLAIN, is_sorted: false }
    }

    /// Two bytes of levels: `rows` rows that are there.
    fn there(rows: u8) -> [u8; 6] {
        [2, 0, 0, 0, 2 * rows, 1]
    }

    fn all<V: Plain>(mut column: Column<V>) -> Result<Vec<Option<V>>> {
        std::iter::from_fn(|| column.next().transpose()).collect()
    }

    #[test]
    fn numbers_in_runs() {
        // Three times 5, then 1, 2, .. of three bits each in two bytes and a half, then twice 6.
        let bytes = [6, 5, 3, 0b1101_0001, 0b0101_1000, 0b0000_0011, 4, 6];
        let mut runs = Runs::new(Bytes::copy_from_slice(&bytes), 3);
        let found: Vec<u32> = (0..13).map(|_| runs.next().unwrap()).collect();
        assert_eq!(found, [5, 5, 5, 1, 2, 3, 4, 5, 6, 0, 0, 6, 6]);
        assert!(runs.next().is_err());
        let mut wide = Runs::new(Bytes::from_static(&[3, 1, 2, 3, 4, 5, 6, 7, 8]), 32);
        assert_eq!(wide.next().unwrap(), 0x0403_0201);
        assert_eq!(wide.next().unwrap(), 0x0807_0605);
        assert!(wide.next().is_err(), "the run is of eight");
        assert_eq!(Runs::new(Bytes::from_static(&[16]), 0).next().unwrap(), 0);
        assert!(Runs::new(Bytes::from_static(&[0xff; 9]), 1).next().is_err());
    }

    #[test]
    fn rows_of_all_kinds_of_pages() {
        let numbers = [3_i64.to_le_bytes(), 4_i64.to_le_bytes()].concat();
        let plain = data(2, Encoding::PLAIN, &[&there(2)[..], &numbers].concat());
        // The second of three is missing; indices 1 and 0.
        let missing = [&[2, 0, 0, 0, 3, 0b101][..], &[1, 2, 1, 2, 0]].concat();
        let missing = data(3, Encoding::RLE_DICTIONARY, &missing);
        let pages = || vec![dictionary(2, &numbers), plain.clone(), missing.clone()];
        let found = all::<i64>(column("INT64", pages())).unwrap();
        assert_eq!(found, [Some(3), Some(4), Some(4), None, Some(3)]);
        for skipped in 0..5 {
            let mut rest = column::<i64>("INT64", pages());
            assert_eq!(rest.skip(skipped).unwrap(), skipped);
            assert_eq!(all(rest).unwrap(), found[skipped..], "{skipped}");
        }
        assert_eq!(column::<i64>("INT64", pages()).skip(9).unwrap(), 5);
        let texts = data(2, Encoding::PLAIN, &[&there(2)[..], b"\x01\0\0\0a\0\0\0\0"].concat());
        let found = all::<Bytes>(column("BINARY", vec![texts])).unwrap();
        assert_eq!(found, [Some(Bytes::from_static(b"a")), Some(Bytes::new())]);
    }

    #[test]
    fn pages_that_are_shorter_than_they_say() {
        let plain = |bytes: &[u8]| data(1, Encoding::PLAIN, &[&there(1)[..], bytes].concat());
        let indices =
            |bytes: &[u8]| data(1, Encoding::RLE_DICTIONARY, &[&there(1)[..], bytes].concat());
        let lengthy = Page::DataPageV2 {
            buf: Bytes::from_static(&[0; 4]),
            num_values: 1,
            encoding: Encoding::PLAIN,
            num_nulls: 0,
            num_rows: 1,
            def_levels_byte_len: 5,
            rep_levels_byte_len: u32::MAX,
            is_compressed: false,
            statistics: None,
        };
        for (pages, problem) in [
            (vec![plain(&[1, 0])], "a page lacks a value"),
            (vec![plain(&[9, 0, 0, 0, 1])], "a page lacks a value"),
            (vec![plain(&[255; 4])], "a page lacks a value"),
            (vec![data(1, Encoding::PLAIN, &[9, 0, 0, 0])], "a page lacks its levels"),
            (vec![data(3, Encoding::PLAIN, &there(0))], "a page ends before its rows"),
            (vec![lengthy], "a page lacks its levels"),
            (vec![dictionary(u32::MAX, &[0; 9])], "a dictionary lacks a value"),
            (vec![indices(&[1, 2, 0])], "a page lacks a value"),
            (vec![dictionary(1, &[0; 4]), indices(&[1, 2, 1])], "a page lacks a value"),
            (vec![dictionary(1, &[0; 4]), indices(&[])], "a page ends before its rows"),
            (vec![dictionary(1, &[0; 4]), indices(&[33, 2, 1])], "indices of 33 bits"),
            (vec![data(1, Encoding::DELTA_BYTE_ARRAY, &there(1))], "encoded as DELTA_BYTE_ARRAY"),
        ] {
            let error = all::<Bytes>(column("BINARY", pages)).unwrap_err().to_string();
            assert!(error.contains(problem), "{error}, not {problem}");
        }
    }
}
