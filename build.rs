//! Turns `catalog/services.tsv` into the static tables that `src/catalogue.rs` searches. A text is stored
//! once, and referred to by its index: services share patterns, scopes and versions, and the component
//! must stay small.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::Path;
use std::{env, fs};

const TABLE: &str = "catalog/services.tsv";
const OWN_TYPES: &str = "catalog/own-types.tsv";

/// A line of the table.
struct Row<'a> {
    service: &'a str,
    host: &'a str,
    version: &'a str,
    /// What comes before the part of the path that is made from the name.
    prefix: &'a str,
    /// The `PathTemplate` of that part.
    template: &'static str,
    patterns: Vec<&'a str>,
    scopes: Vec<&'a str>,
    locations: Vec<&'a str>,
}

fn main() {
    let table = read(TABLE);
    let rows: Vec<Row> = table.lines().skip(1).map(row).collect();
    let mut services: BTreeMap<&str, Vec<&Row>> = BTreeMap::new();
    for row in &rows {
        // In the table the preferred version comes first; so it does here.
        services.entry(row.service).or_default().push(row);
    }

    let mut out = String::new();
    let pattern_at = write_patterns(&mut out, rows.iter().flat_map(|row| &row.patterns));
    let scopes = rows
        .iter()
        .flat_map(|row| &row.scopes)
        .map(|scope| scope_end(scope));
    let scope_at = write_texts(&mut out, "SCOPES", scopes);
    let location_at = write_texts(
        &mut out,
        "LOCATIONS",
        rows.iter().flat_map(|row| row.locations.iter().copied()),
    );
    let version_at = write_texts(
        &mut out,
        "VERSION_NAMES",
        rows.iter().map(|row| row.version),
    );
    let prefix_at = write_texts(&mut out, "PREFIXES", rows.iter().map(|row| row.prefix));
    let host_at = write_texts(&mut out, "HOSTS", rows.iter().map(|row| other_host(row)));

    let mut indices = Indices::default();
    let mut versions_out = String::new();
    let mut versions_count = 0;
    writeln!(out, "static SERVICES: [Service; {}] = [", services.len()).unwrap();
    for (service, versions) in &services {
        let scopes: BTreeSet<&str> = versions
            .iter()
            .flat_map(|row| row.scopes.iter().copied())
            .collect();
        let scopes = indices.add(scopes.into_iter().map(|scope| scope_at[scope_end(scope)]));
        writeln!(
            out,
            "    Service {{ label: {:?}, versions: {}, scopes: {scopes} }},",
            label(service),
            table_range(versions_count, versions.len())
        )
        .unwrap();
        versions_count += versions.len();
        for row in versions {
            writeln!(
                versions_out,
                "    Version {{ name: {}, host: {}, prefix: {}, template: PathTemplate::{}, patterns: {}, locations: {} }},",
                version_at[row.version],
                host_at[other_host(row)],
                prefix_at[row.prefix],
                row.template,
                indices.add(row.patterns.iter().map(|pattern| pattern_at[pattern])),
                indices.add(row.locations.iter().map(|location| location_at[location])),
            )
            .unwrap();
        }
    }
    out.push_str("];\n");
    writeln!(
        out,
        "static VERSIONS: [Version; {versions_count}] = [\n{versions_out}];"
    )
    .unwrap();
    writeln!(
        out,
        "static INDICES: [u16; {}] = {:?};",
        indices.0.len(),
        indices.0
    )
    .unwrap();

    let own_types = read(OWN_TYPES);
    let own_types = own_types
        .lines()
        .skip(1)
        .filter_map(|line| line.split('\t').next());
    let without_others: BTreeSet<&str> = own_types
        .filter(|service| !services.contains_key(service))
        .collect();
    write_texts(&mut out, "OWN_TYPES", without_others.into_iter().map(label));

    let file = Path::new(&env::var_os("OUT_DIR").unwrap()).join("catalogue.rs");
    fs::write(file, out).expect("OUT_DIR can be written");
}

fn read(file: &str) -> String {
    println!("cargo::rerun-if-changed={file}");
    fs::read_to_string(file).unwrap_or_else(|error| panic!("{file}: {error}"))
}

fn row(line: &str) -> Row<'_> {
    let columns: Vec<&str> = line.split('\t').collect();
    let &[
        service,
        host,
        version,
        _stage,
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
    let (prefix, template) = [
        ("/{name}", "Name"),
        ("/operations/{id}", "OperationId"),
        ("/b/{bucket}/operations/{operation}", "Bucket"),
    ]
    .into_iter()
    .find_map(|(end, path)| Some((template.strip_suffix(end)?, path)))
    .unwrap_or_else(|| panic!("{TABLE}: src/template.rs knows no template of the form {template}"));
    Row {
        service,
        host,
        version,
        prefix,
        template,
        patterns: patterns.split_whitespace().collect(),
        scopes: scopes.split_whitespace().collect(),
        locations: locations.split_whitespace().collect(),
    }
}

/// `apigateway` of `apigateway.googleapis.com`.
fn label(service: &str) -> &str {
    let label = service.strip_suffix(".googleapis.com");
    label.unwrap_or_else(|| panic!("{TABLE}: {service} is not under googleapis.com"))
}

/// The first label of a version's host; empty if it is the service's own.
fn other_host<'a>(row: &Row<'a>) -> &'a str {
    if row.host == row.service {
        ""
    } else {
        label(row.host)
    }
}

fn scope_end(scope: &str) -> &str {
    let end = scope.strip_prefix("https://www.googleapis.com/auth/");
    end.unwrap_or_else(|| panic!("{TABLE}: src/catalogue.rs knows no scope of the form {scope}"))
}

/// Indices into the tables of texts, one run after the other.
#[derive(Default)]
struct Indices(Vec<u16>);

impl Indices {
    /// Adds a run, unless it is there already, and returns its range.
    fn add(&mut self, run: impl Iterator<Item = usize>) -> String {
        let run: Vec<u16> = run
            .map(|at| u16::try_from(at).expect("a table of under 65,536 texts"))
            .collect();
        let known = self
            .0
            .windows(run.len().max(1))
            .position(|window| window == run);
        let start = known.unwrap_or(self.0.len());
        if known.is_none() {
            self.0.extend(&run);
        }
        table_range(start, run.len())
    }
}

fn table_range(start: usize, len: usize) -> String {
    format!("TableRange {{ start: {start}, len: {len} }}")
}

/// Writes the patterns, and returns the index of each. They share how they begin and how they end: each
/// is written as a head and a tail from a table, and what is between them.
fn write_patterns<'t, 'a: 't>(
    out: &mut String,
    patterns: impl Iterator<Item = &'t &'a str>,
) -> BTreeMap<&'a str, usize> {
    // The longest that fits is taken.
    const HEADS: [&str; 8] = [
        "projects/*/locations/*/collections/*/",
        "projects/*/locations/*/datasets/*/",
        "projects/*/locations/*/",
        "organizations/*/locations/*/",
        "folders/*/locations/*/",
        "organizations/*/",
        "projects/*/",
        "",
    ];
    const TAILS: [&str; 4] = ["/operations/**", "/operations/*", "operations/**", ""];
    let patterns: BTreeSet<&str> = patterns.copied().collect();
    writeln!(out, "static HEADS: [&str; {}] = {HEADS:?};", HEADS.len()).unwrap();
    writeln!(out, "static TAILS: [&str; {}] = {TAILS:?};", TAILS.len()).unwrap();
    writeln!(out, "static PATTERNS: [Pattern; {}] = [", patterns.len()).unwrap();
    for pattern in &patterns {
        let fits = |(head, tail): &(usize, usize)| {
            let rest = pattern.strip_prefix(HEADS[*head]);
            rest.is_some_and(|rest| rest.ends_with(TAILS[*tail]))
        };
        let pairs =
            (0..HEADS.len()).flat_map(|head| (0..TAILS.len()).map(move |tail| (head, tail)));
        let (head, tail) = pairs
            .filter(fits)
            .max_by_key(|(head, tail)| HEADS[*head].len() + TAILS[*tail].len())
            .unwrap();
        let middle = &pattern[HEADS[head].len()..pattern.len() - TAILS[tail].len()];
        writeln!(
            out,
            "    Pattern {{ head: {head}, middle: {middle:?}, tail: {tail} }},"
        )
        .unwrap();
    }
    out.push_str("];\n");
    patterns
        .into_iter()
        .enumerate()
        .map(|(at, pattern)| (pattern, at))
        .collect()
}

/// Writes texts as a sorted table without repetition, and returns the index of each.
fn write_texts<'a>(
    out: &mut String,
    name: &str,
    texts: impl Iterator<Item = &'a str>,
) -> BTreeMap<&'a str, usize> {
    let texts: BTreeSet<&str> = texts.collect();
    writeln!(out, "static {name}: [&str; {}] = [", texts.len()).unwrap();
    for text in &texts {
        writeln!(out, "    {text:?},").unwrap();
    }
    out.push_str("];\n");
    texts
        .into_iter()
        .enumerate()
        .map(|(at, text)| (text, at))
        .collect()
}
