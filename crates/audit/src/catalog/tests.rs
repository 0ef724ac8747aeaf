use std::io::{Seek, SeekFrom, Write};
use std::ops::ControlFlow;

use super::{Broken, CatalogError, MAX_ROW_BYTES, Row, Skipped, read, read_file};
use portcullis::name::Dialect;

/// Returns each row as `line connection name`, with the reason instead of the name if the row is broken.
fn rows(input: &[u8]) -> Vec<String> {
    described(|see| read(input, see))
}

fn described(
    read: impl FnOnce(&mut dyn FnMut(Result<Row<'_>, Broken>) -> ControlFlow<()>) -> Result<Skipped, CatalogError>,
) -> Vec<String> {
    let mut rows = Vec::new();
    let result = read(&mut |row| {
        rows.push(match row {
            Ok(row) => {
                let mut name = String::new();
                row.name.write(Dialect::Snowflake, &mut name);
                format!("{} {} {name}", row.line, row.connection.unwrap_or("-"))
            }
            Err(broken) => format!("! {broken}"),
        });
        ControlFlow::Continue(())
    });
    rows.extend(result.err().map(|error| format!("!! {error}")));
    rows
}

/// Like `rows`, from a file with these bytes; also returns the reported number of read bytes.
fn rows_of_file(bytes: &[u8]) -> (Vec<String>, u64) {
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(bytes).unwrap();
    file.seek(SeekFrom::Start(0)).unwrap();
    let mut at = 0;
    (described(|see| read_file(file, |bytes| at = bytes, see)), at)
}

#[test]
fn rows_are_read_with_their_line() {
    let long = format!("connection,name\ndw,\"{}", "x\n".repeat(1 << 20));
    // Each line is read once, so half a million of them take no time.
    let blank_lines = "\n".repeat(500_000) + "{\"name\":\"a.b\"}";
    let long_line = format!("{{\"name\":\"{}\"}}\n{{\"name\":\"a.b\"}}", "x".repeat(1 << 20));
    let cases: [(&str, &[&str]); 28] = [
        (
            "",
            &[
                "!! expected the column `name`, or columns of schema and table such as `table_schema` and `table_name`; found none",
            ],
        ),
        ("connection,name\n", &[]),
        ("connection,name\ndw,a.b\ndw,c.d", &["2 dw a.b", "3 dw c.d"]),
        ("\u{feff}NAME,Connection\r\na.b,dw\r\n", &["2 dw a.b"]),
        ("rows,name\n7,a.b\n", &["2 - a.b"]),
        ("name,note\na.b,\"two\nlines\"\nc.d,\n", &["2 - a.b", "4 - c.d"]),
        ("name\n\"a.\"\"B c\"\"\"\n", &["2 - a.\"B c\""]),
        (
            "connection,name\ndw\ndw,a.b,c\ndw,e.f\n",
            &[
                "! line 2: 1 column, where the heading has 2",
                "! line 3: 3 columns, where the heading has 2",
                "4 dw e.f",
            ],
        ),
        (
            "table_catalog,table_schema,TABLE_NAME\nDB,S,T\nDB,s,T 1\n,S,T\n",
            &["2 - DB.S.T", "3 - DB.\"s\".\"T 1\"", "4 - S.T"],
        ),
        ("table_schema,table_name\nS,\"a.\"\"b\"\n", &["2 - S.\"a.\"\"b\""]),
        (
            "schema,tabel\na,b\n",
            &[
                "!! expected the column `name`, or columns of schema and table such as `table_schema` and `table_name`; found `schema` and 1 other column",
            ],
        ),
        ("name,Name\na.b,c.d\n", &["!! the heading has the column `name` twice"]),
        (&long, &["!! after line 2: a row of more than 1048576 bytes: perhaps a quote is not closed"]),
        (
            "name,note\na.b,\nc.d,\"open\ne.f,x\n",
            &["2 - a.b", "!! after line 2: the file ends inside a quote: close the quote, or write the whole file"],
        ),
        ("name\n\"a.b", &["!! after line 2: the file ends inside a quote: close the quote, or write the whole file"]),
        (
            "name\n\"a.b\"\"",
            &["!! after line 2: the file ends inside a quote: close the quote, or write the whole file"],
        ),
        (
            "name,\"note\na.b,x",
            &["!! after line 0: the file ends inside a quote: close the quote, or write the whole file"],
        ),
        ("note,name\nin \"ches,a.b\n\"\",\"c.d\"", &["2 - a.b", "3 - c.d"]),
        (
            "{\"connection\":\"dw\",\"name\":\"a.b\",\"rows\":[1,{}]}\n\n{\"NAME\":\"c.\\\"D\\\"\"}",
            &["1 dw a.b", "3 - c.\"D\""],
        ),
        ("{\"TABLE_CATALOG\":null,\"table_schema\":\"S\",\"table_name\":\"t\"}\n", &["1 - S.\"t\""]),
        (
            "{\"name\":\"a.b\"\n{\"name\":7}\n[]\n{\"name\":\"e.f\"}",
            &[
                "! line 1: the JSON is cut off in an object",
                "! line 2: `name`: expected a string, found a number",
                "! line 3: expected an object, found a list",
                "4 - e.f",
            ],
        ),
        (
            "{\"connection\":\"dw\"}",
            &[
                "! line 1: expected the column `name`, or columns of schema and table such as `table_schema` and `table_name`; found `connection`",
            ],
        ),
        ("{\"name\":\"a.b\",\"Name\":\"c.d\"}", &["! line 1: `name` appears twice"]),
        (&long_line, &["! line 1: more than 1048576 bytes", "2 - a.b"]),
        ("\u{feff}{\"name\":\"a.b\"}", &["1 - a.b"]),
        ("     \n\n\u{20}{\"name\":\"a.b\"}", &["3 - a.b"]),
        ("\u{feff}  \n{\"name\":\"a.b\"}", &["2 - a.b"]),
        (&blank_lines, &["500001 - a.b"]),
    ];
    for (text, expected) in cases {
        assert_eq!(rows(text.as_bytes()), expected, "{:?}", text.chars().take(80).collect::<String>());
    }
    assert_eq!(rows(b"name\n\xff.b\na.b\n"), ["! line 2: not UTF-8", "3 - a.b"]);
}

fn gzip(text: &str) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(text.as_bytes()).unwrap();
    encoder.finish().unwrap()
}

fn zstd(text: &str) -> Vec<u8> {
    zstd::encode_all(text.as_bytes(), 1).unwrap()
}

#[test]
fn compression_is_detected_by_the_first_bytes() {
    for pack in [gzip, zstd] {
        // Two consecutive parts, as in logs that were compressed in pieces.
        let parts = [pack("name\na.b\n"), pack("c.d\n")];
        let packed = parts.concat();
        assert_eq!(rows(&packed), ["2 - a.b", "3 - c.d"]);
        assert_eq!(rows_of_file(&packed), (rows(&packed), packed.len() as u64));
        // A cut is an error everywhere except between the parts, where nothing is missing.
        for end in (0..packed.len()).filter(|end| *end != parts[0].len()) {
            let cut = rows(&packed[..end]);
            assert!(cut.last().is_some_and(|last| last.starts_with("!! ")), "{end} bytes: {cut:?}");
        }
        let garbage = rows(&[&packed[..], b"name"].concat());
        assert!(garbage.last().unwrap().starts_with("!! after line"), "{garbage:?}");
        assert_eq!(rows(&pack("{\"name\":\"a.b\"}")), ["1 - a.b"]);
        assert_eq!(rows(&pack("\u{feff}name\r\na.b\r\n")), ["2 - a.b"]);
    }
}

#[test]
fn rows_beyond_the_limit_are_broken() {
    // The CSV reader may have up to its buffer of the next rows.
    let long = "x".repeat(MAX_ROW_BYTES - (1 << 17));
    let csv = format!("name,note\na.b,{long}\nc.d,\"{long}\"\ne.f,\n");
    assert_eq!(rows(csv.as_bytes()), ["2 - a.b", "3 - c.d", "4 - e.f"]);
    let cut = rows(format!("name,note\na.b,{long}{long}\nc.d,\n").as_bytes());
    assert_eq!(cut, ["!! after line 2: a row of more than 1048576 bytes: perhaps a quote is not closed"]);
    let line = |bytes: usize| format!("{{\"name\":\"a.b\",\"note\":\"{}\"}}\n", "x".repeat(bytes - 25));
    let longest = line(MAX_ROW_BYTES);
    assert_eq!(longest.len(), MAX_ROW_BYTES);
    let json = [longest, line(MAX_ROW_BYTES + 1), line(40)].concat();
    assert_eq!(rows(json.as_bytes()), ["1 - a.b", "! line 2: more than 1048576 bytes", "3 - a.b"]);
}

#[test]
fn parquet_is_detected_by_its_first_bytes() {
    let stream = "!! it is Parquet, which is read from its end: give it as a file of its own, neither through a pipe nor compressed as a whole";
    assert_eq!(rows(b"PAR1"), [stream]);
    assert_eq!(rows(&gzip("PAR1...")), [stream]);
    assert_eq!(rows_of_file(&gzip("PAR1...")).0, [stream]);
    let file = rows_of_file(b"PAR1 and no more").0;
    let expected = if cfg!(feature = "parquet") {
        "!! after row 0: "
    } else {
        "!! it is Parquet, which this build does not read: install portcullis with `--features parquet`, or give CSV or JSON Lines"
    };
    assert!(file.len() == 1 && file[0].starts_with(expected), "{file:?}");
    // Files that are not Parquet, also shorter than its first bytes.
    for text in ["", "P", "PAR", "name\na.b\n", "{\"name\":\"a.b\"}"] {
        assert_eq!(rows_of_file(text.as_bytes()).0, rows(text.as_bytes()), "{text:?}");
    }
}

#[test]
fn parts_are_quoted_where_the_dialect_requires_it() {
    use super::WrittenName;
    use portcullis::name::Name;
    let cases = [
        (Dialect::Snowflake, ("DB", "S", "T"), "DB.S.T", true),
        (Dialect::Snowflake, ("DB", "s", "T"), "DB.\"s\".T", true),
        (Dialect::Postgres, ("db", "S", "t\"x"), "db.\"S\".\"t\"\"x\"", true),
        (Dialect::Generic, ("a-b", "s", "t.x"), "\"a-b\".s.\"t.x\"", true),
        (Dialect::Databricks, ("c", "S", "t`x"), "c.`S`.`t``x`", true),
        (Dialect::BigQuery, ("my-project", "s", "t 1"), "`my-project`.s.`t 1`", true),
        (Dialect::BigQuery, ("example.com:p", "s", "a:b"), "`example.com:p`.s.`a:b`", true),
        (Dialect::BigQuery, ("p", "s", "a:b"), "p.s.`a\\:b`", false),
        (Dialect::BigQuery, ("p:q.r", "s", "t"), "`p:q..r`.s.t", false),
        (Dialect::Oracle, ("DB", "ZÜRICH", "T"), "DB.\"ZÜRICH\".T", true),
        (Dialect::Redshift, ("db", "S", "t"), "db.\"S\".t", true),
        (Dialect::RedshiftCaseSensitive, ("db", "S", "t"), "db.\"S\".t", true),
        (Dialect::BigQuery, ("p", "s", "a.b"), "p.s.`a..b`", false),
        (Dialect::BigQuery, ("p", "s", "a`b"), "p.s.`a``b`", false),
        (Dialect::Generic, ("a", "", "b"), "a.\"\".b", false),
        (Dialect::Generic, ("a", "s", "b\n"), "a.s.\"b\n\"", false),
    ];
    for (dialect, (catalog, schema, table), expected, well_formed) in cases {
        let mut text = String::new();
        WrittenName::Parts { catalog: Some(catalog), schema, table, unquoted: false }.write(dialect, &mut text);
        assert_eq!(text, expected);
        let name = Name::parse(&text, dialect);
        assert_eq!(name.is_ok(), well_formed, "{text}: {name:?}");
        if let Ok(name) = name.as_ref().map(Name::segments) {
            let folds = matches!(dialect, Dialect::Databricks | Dialect::Redshift);
            let folded = |part: &str| if folds { part.to_lowercase() } else { part.into() };
            assert_eq!(name.collect::<Vec<_>>(), [catalog, schema, table].map(folded), "{text}");
        }
    }
}
