//! Turns `catalog/services.tsv` into the static table that `src/service.rs` searches. Patterns and
//! scopes are stored once each, and referred to by index: many services share them.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::Path;
use std::{env, fs};

const TABLE: &str = "catalog/services.tsv";

struct Row<'a> {
    service: &'a str,
    host: &'a str,
    version: &'a str,
    stage: &'a str,
    template: &'a str,
    patterns: Vec<&'a str>,
    scopes: Vec<&'a str>,
    locations: Vec<&'a str>,
}

fn main() {
    println!("cargo::rerun-if-changed={TABLE}");
    let table = fs::read_to_string(TABLE).expect("catalog/services.tsv is part of the package");
    let rows: Vec<Row> = table.lines().skip(1).map(row).collect();

    let patterns: BTreeSet<&str> = rows
        .iter()
        .flat_map(|row| row.patterns.iter().copied())
        .collect();
    let scopes: BTreeSet<&str> = rows
        .iter()
        .flat_map(|row| row.scopes.iter().copied())
        .collect();
    let mut services: BTreeMap<&str, Vec<&Row>> = BTreeMap::new();
    for row in &rows {
        services.entry(row.service).or_default().push(row);
    }

    let mut out = String::new();
    let pattern_at = write_texts(&mut out, "PATTERNS", &patterns);
    let scope_at = write_texts(&mut out, "SCOPES", &scopes);
    writeln!(
        out,
        "pub static SERVICES: [Service; {}] = [",
        services.len()
    )
    .unwrap();
    for (service, mut versions) in services {
        versions.sort_by_key(|row| std::cmp::Reverse(preference(row)));
        let all_scopes: BTreeSet<&str> = versions
            .iter()
            .flat_map(|row| row.scopes.iter().copied())
            .collect();
        writeln!(
            out,
            "    Service {{ name: {service:?}, host: {:?}, versions: &[",
            versions[0].host
        )
        .unwrap();
        for row in &versions {
            assert_eq!(
                row.host, versions[0].host,
                "{service} has one host in {TABLE}"
            );
            let numbers: Vec<usize> = row
                .patterns
                .iter()
                .map(|pattern| pattern_at[pattern])
                .collect();
            writeln!(
                out,
                "        Version {{ name: {:?}, template: {:?}, patterns: &{numbers:?} }},",
                row.version, row.template
            )
            .unwrap();
        }
        let numbers: Vec<usize> = all_scopes.iter().map(|scope| scope_at[scope]).collect();
        writeln!(
            out,
            "    ], scopes: &{numbers:?}, locations: &{:?} }},",
            versions[0].locations
        )
        .unwrap();
    }
    out.push_str("];\n");

    let file = Path::new(&env::var_os("OUT_DIR").unwrap()).join("catalogue.rs");
    fs::write(file, out).expect("OUT_DIR can be written");
}

fn row(line: &str) -> Row<'_> {
    let columns: Vec<&str> = line.split('\t').collect();
    let &[
        service,
        host,
        version,
        stage,
        _title,
        template,
        patterns,
        scopes,
        locations,
    ] = columns.as_slice()
    else {
        panic!(
            "{TABLE}: nine columns expected, found {} in: {line}",
            columns.len()
        );
    };
    Row {
        service,
        host,
        version,
        stage,
        template,
        patterns: patterns.split_whitespace().collect(),
        scopes: scopes.split_whitespace().collect(),
        locations: locations.split_whitespace().collect(),
    }
}

/// Which version is taken before which others: GA before beta before alpha, then the higher one.
fn preference<'a>(row: &Row<'a>) -> (u8, Vec<u32>, &'a str) {
    let stage = match row.stage {
        "GA" => 2,
        "beta" => 1,
        "alpha" => 0,
        other => panic!("{TABLE}: unknown stage {other}"),
    };
    // v1p1beta2 → [1, 1, 2]
    let numbers = row
        .version
        .split(|c: char| !c.is_ascii_digit())
        .filter_map(|digits| digits.parse().ok())
        .collect();
    (stage, numbers, row.version)
}

fn write_texts<'a>(
    out: &mut String,
    name: &str,
    texts: &BTreeSet<&'a str>,
) -> BTreeMap<&'a str, usize> {
    writeln!(
        out,
        "pub static {name}: [&str; {}] = {:#?};",
        texts.len(),
        texts.iter().collect::<Vec<_>>()
    )
    .unwrap();
    texts
        .iter()
        .enumerate()
        .map(|(at, text)| (*text, at))
        .collect()
}
