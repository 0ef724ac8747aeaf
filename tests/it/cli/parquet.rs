//! Catalogs in Parquet files, and the exposure of names that are Arrow arrays.

use std::io::{Seek, SeekFrom, Write};
use std::ops::ControlFlow;
use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::{Int32Type, UInt32Type};
use arrow_array::{
    Array, ArrayRef, BinaryArray, DictionaryArray, Int64Array, LargeStringArray, RecordBatch, StringArray,
    StringViewArray,
};
use parquet::arrow::ArrowWriter;
use parquet::basic::Compression;
use parquet::file::properties::WriterProperties;
use portcullis::model::{GrantSource, Limits};
use portcullis::name::Dialect;
use portcullis_audit::catalog::read_file;
use portcullis_audit::coverage::{Kernel, Matches};

use super::util::Dir;

/// Returns each row as `line connection name`, or its error, and the reported number of bytes.
fn rows_of_file(bytes: &[u8]) -> (Vec<String>, u64) {
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(bytes).unwrap();
    file.seek(SeekFrom::Start(0)).unwrap();
    let (mut rows, mut position) = (Vec::new(), 0);
    let read = read_file(
        file,
        |bytes| position = bytes,
        |row| {
            rows.push(match row {
                Ok(row) => {
                    let mut name = String::new();
                    row.name.write(Dialect::Snowflake, &mut name);
                    format!("{} {} {name}", row.line, row.connection.unwrap_or("-"))
                }
                Err(broken) => format!("! {broken}"),
            });
            ControlFlow::Continue(())
        },
    );
    rows.extend(read.err().map(|error| format!("!! {error}")));
    (rows, position)
}

type Column = (&'static str, ArrayRef);

fn texts(name: &'static str, texts: &[Option<&str>]) -> Column {
    (name, Arc::new(StringArray::from(texts.to_vec())))
}

/// Creates a file of these columns with `group` rows in each row group.
fn file(columns: Vec<Column>, compression: Compression, group: usize) -> Vec<u8> {
    let batch =
        RecordBatch::try_from_iter_with_nullable(columns.into_iter().map(|(name, column)| (name, column, true)));
    let batch = batch.unwrap();
    let properties =
        WriterProperties::builder().set_compression(compression).set_max_row_group_row_count(Some(group)).build();
    let mut writer = ArrowWriter::try_new(Vec::new(), batch.schema(), Some(properties)).unwrap();
    writer.write(&batch).unwrap();
    writer.into_inner().unwrap()
}

fn plain(columns: Vec<Column>) -> Vec<String> {
    rows_of_file(&file(columns, Compression::UNCOMPRESSED, 1000)).0
}

#[test]
fn columns_are_found_by_name() {
    let numbers: Column = ("row_count", Arc::new(Int64Array::from(vec![1, 2, 3])));
    let names = texts("NAME", &[Some("a.b"), Some("c.\"D\""), Some("e.f")]);
    let connections = texts("Connection", &[Some("dw"), None, Some("")]);
    assert_eq!(plain(vec![numbers.clone(), names, connections]), ["1 dw a.b", "2 - c.\"D\"", "3 - e.f"]);
    let parts = vec![
        texts("table_name", &[Some("T"), Some("t 1"), None]),
        numbers.clone(),
        texts("table_schema", &[Some("S"), Some("S"), Some("S")]),
        texts("table_catalog", &[Some("DB"), None, Some("DB")]),
    ];
    assert_eq!(plain(parts), ["1 - DB.S.T", "2 - S.\"t 1\"", "! line 3: `table_name` is null"]);
    let none = "!! expected the column `name`, or columns of schema and table such as `table_schema` and `table_name`; found `row_count`";
    assert_eq!(plain(vec![numbers.clone()]), [none]);
    let twice = ["name", "Name"].map(|name| texts(name, &[Some("a.b")]));
    assert_eq!(plain(twice.into()), ["!! the heading has the column `name` twice"]);
    let wrong = vec![("name", numbers.1)];
    assert_eq!(plain(wrong), ["!! the column `name` has the wrong type: expected text, found a number"]);
    assert!(plain(vec![texts("name", &[])]).is_empty());
}

#[test]
fn every_text_type_is_read() {
    let expected = ["1 - a.b", "! line 2: `name` is null", "3 - a.b"];
    let values = vec![Some("a.b"), None, Some("a.b")];
    let dictionary: DictionaryArray<Int32Type> = values.iter().copied().collect();
    let bytes = BinaryArray::from_opt_vec(values.iter().map(|value| value.map(str::as_bytes)).collect());
    for column in [
        Arc::new(StringArray::from(values.clone())) as ArrayRef,
        Arc::new(StringViewArray::from(values)),
        Arc::new(dictionary),
        Arc::new(bytes),
    ] {
        assert_eq!(plain(vec![("name", column)]), expected);
    }
    let bytes = BinaryArray::from_vec(vec![b"a.b", b"\xff.b", b"c.d"]);
    assert_eq!(plain(vec![("name", Arc::new(bytes))]), ["1 - a.b", "! line 2: not UTF-8", "3 - c.d"]);
}

#[test]
fn row_groups_and_compressions_are_read() {
    let names: Vec<String> = (0..10_000).map(|at| format!("db.s{}.t{at}", at / 100)).collect();
    let csv = format!("name\n{}\n", names.join("\n"));
    let as_lines = |rows: Vec<String>| -> Vec<String> {
        rows.into_iter().map(|row| row.split_once(' ').unwrap().1.to_owned()).collect()
    };
    let names: Vec<Option<&str>> = names.iter().map(|name| Some(name.as_str())).collect();
    let compressions = [
        Compression::UNCOMPRESSED,
        Compression::SNAPPY,
        Compression::GZIP(parquet::basic::GzipLevel::default()),
        Compression::ZSTD(parquet::basic::ZstdLevel::default()),
    ];
    for compression in compressions {
        let file = file(vec![texts("name", &names)], compression, 3000);
        let (found, position) = rows_of_file(&file);
        assert_eq!(found[9999], "10000 - db.s99.t9999");
        assert_eq!(as_lines(found), as_lines(rows_of_file(csv.as_bytes()).0), "{compression}");
        assert_eq!(position, file.len() as u64);
        // The end of the file is missing, or a part in the middle is damaged.
        let cut = rows_of_file(&file[..file.len() - 1]).0;
        assert!(cut.len() == 1 && cut[0].starts_with("!! after row 0: "), "{cut:?}");
        let mut hole = file.clone();
        hole[4..4000].fill(0xff);
        let hole = rows_of_file(&hole).0;
        assert!(hole.last().unwrap().starts_with("!! after row "), "{:?}", hole.last());
    }
}

#[test]
fn arrays_and_texts_have_the_same_coverage() {
    let sources = ["a.*", "a.b", "*.b", "c.*x*"];
    let sources = sources.map(|text| GrantSource::guess(text, Dialect::Generic, &Limits::default()).unwrap());
    let kernel = Kernel::new(Dialect::Generic, &sources);
    let names = [Some("a.b"), None, Some("b.b"), Some(""), Some("c.yxz"), Some("c.y"), Some("a."), Some("a.é")];
    let mut matches = Matches::default();
    kernel.covering(names.map(Option::unwrap_or_default), &mut matches);
    let lists = [
        kernel.covering_array(&StringArray::from(names.to_vec())),
        kernel.covering_array(&LargeStringArray::from(names.to_vec())),
        kernel.covering_array(&StringViewArray::from(names.to_vec())),
    ];
    for lists in lists.map(Result::unwrap) {
        assert_eq!(lists.len(), names.len());
        for (at, name) in names.iter().enumerate() {
            let list = lists.is_valid(at).then(|| lists.value(at).as_primitive::<UInt32Type>().values().to_vec());
            assert_eq!(list.as_deref(), matches.get(at), "{name:?}");
        }
    }
    // A slice of an array.
    let part = StringArray::from(names.to_vec()).slice(4, 3);
    let lists = kernel.covering_array(&part).unwrap();
    assert_eq!(lists.value(0).as_primitive::<UInt32Type>().values(), &[3]);
    assert!(lists.value(1).is_empty() && lists.is_null(2));
    assert_eq!(kernel.covering_array(&StringArray::new_null(0)).unwrap().len(), 0);
}

#[test]
fn commands_read_a_parquet_catalog() {
    let parts = ["table_catalog", "table_schema", "table_name"].into_iter().zip(["DB", "S", "ROADS"]);
    let columns: Vec<Column> = parts.map(|(name, text)| texts(name, &[Some(text)])).collect();
    let catalog = file(columns, Compression::SNAPPY, 10);
    let policy = r#"{"connections": [{"name": "dw", "dialect": "snowflake"}], "tokens": [{"id": "a", "token": "s3cret",
        "allowed_apis": ["maps"], "grants": [{"connection_name": "dw", "source": "db.*.roads"}]}]}"#;
    let dir = Dir::new().file("policy.json", policy).file("catalog.parquet", catalog);
    let run = dir.command("audit exposure --policy policy.json --catalog catalog.parquet --connection dw").run();
    assert!(run.code == 0 && run.stdout.contains("1 of 1 names exposed (100.00 %)"), "{}{}", run.stdout, run.stderr);
    let run = dir.command("audit lint --policy policy.json --catalog catalog.parquet --catalog-connection dw").run();
    assert!(!run.stdout.contains("pattern_matches_nothing"), "{}{}", run.stdout, run.stderr);
    let stdin = dir.command("audit exposure --policy policy.json --catalog - --connection dw").stdin("PAR1").run();
    assert!(stdin.code == 2 && stdin.stderr.contains("neither through a pipe"), "{}", stdin.stderr);
}
