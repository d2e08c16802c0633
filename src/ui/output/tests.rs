//! Every format of one listing and one record.

use std::sync::{Arc, Mutex};

use serde_json::json;

use super::pager::{Sink, Straight};
use super::printer::record;
use super::*;

struct Node(&'static str, Option<&'static str>, i64);

impl Row for Node {
    fn cells(&self) -> Vec<Cell> {
        vec![
            self.1.unwrap_or_default().into(),
            self.0.into(),
            self.2.to_string().into(),
        ]
    }

    fn name(&self) -> String {
        format!("instance/{}", self.0)
    }

    fn document(&self) -> Value {
        json!({"id": self.0, "name": self.1, "cpus": self.2})
    }
}

const NODES: [Node; 3] = [
    Node("i-1", Some("prod-web"), 10),
    Node("i-2", Some("evil\n\u{1b}[2J"), 9),
    Node("i-3", None, 1),
];

fn listing() -> Listing {
    let columns = vec![
        Column::new("name", "name"),
        Column::new("id", "id").whole(),
        Column::new("cpu count", "cpus").wide(),
    ];
    Listing {
        key: "nodes",
        columns,
    }
}

fn print(output: &Output, nodes: &[Node]) -> Result<String, OutputError> {
    let page = Page {
        columns: None,
        styled: false,
    };
    let text = Arc::new(Mutex::new(String::new()));
    let sink = Sink::straight(Straight::Memory(Arc::clone(&text)));
    let mut printer = Printer::new(output.clone(), listing(), page, sink)?;
    for node in nodes {
        printer.push(node)?;
    }
    printer.beside("errors", json!([]));
    assert_eq!(printer.finish()?, nodes.len());
    let text = text.lock().unwrap().clone();
    Ok(text)
}

fn with(format: Format) -> Output {
    Output {
        format,
        ..Output::default()
    }
}

fn sorted(by: &str) -> Output {
    Output {
        sort_by: Some(by.to_owned()),
        ..with(Format::Name)
    }
}

#[test]
fn each_format_of_a_listing() {
    let print = |format| print(&with(format), &NODES).unwrap();
    assert_eq!(
        print(Format::Table),
        "NAME         ID\nprod-web     i-1\nevil\\n\\e[2J  i-2\n             i-3\n"
    );
    assert!(print(Format::Wide).starts_with("NAME         ID   CPU COUNT\nprod-web     i-1  10\n"));
    assert_eq!(
        print(Format::Csv),
        "name,id,cpu count\nprod-web,i-1,10\nevil\\n\\e[2J,i-2,9\n,i-3,1\n"
    );
    assert_eq!(
        print(Format::Text),
        "prod-web\ti-1\t10\nevil\\n\\e[2J\ti-2\t9\n\ti-3\t1\n"
    );
    assert_eq!(print(Format::Name), "instance/i-1\ninstance/i-2\ninstance/i-3\n");
    let documents: Vec<Value> = NODES.iter().map(Row::document).collect();
    let document = json!({"nodes": documents, "errors": []});
    let mut whole = String::new();
    json::write(&document, 0, &mut whole);
    assert_eq!(print(Format::Json), format!("{whole}\n"));
    let mut whole = String::new();
    yaml::write(&document, &mut whole);
    assert_eq!(print(Format::Yaml), whole);
}

#[test]
fn a_listing_of_nothing_is_still_a_document() {
    let print = |format| print(&with(format), &[]).unwrap();
    assert_eq!(print(Format::Table), "");
    assert_eq!(print(Format::Csv), "name,id,cpu count\n");
    assert_eq!(print(Format::Text), "");
    assert_eq!(
        print(Format::Json),
        "{\n    \"nodes\": [],\n    \"errors\": []\n}\n"
    );
    assert_eq!(print(Format::Yaml), "nodes: []\nerrors: []\n");
}

#[test]
fn headings_can_be_left() {
    let left = |format| Output {
        headings: Headings::Left,
        ..with(format)
    };
    assert!(
        print(&left(Format::Table), &NODES)
            .unwrap()
            .starts_with("prod-web  ")
    );
    assert!(
        print(&left(Format::Csv), &NODES)
            .unwrap()
            .starts_with("prod-web,")
    );
}

#[test]
fn rows_are_sorted_by_what_the_column_means() {
    let names = |by| print(&sorted(by), &NODES).unwrap();
    // By number, not by digits; what has no name comes last.
    assert_eq!(names("cpus"), "instance/i-3\ninstance/i-2\ninstance/i-1\n");
    assert_eq!(names("-CPU count"), "instance/i-1\ninstance/i-2\ninstance/i-3\n");
    assert_eq!(names("NAME"), "instance/i-2\ninstance/i-1\ninstance/i-3\n");
    let error = print(&sorted("nmae"), &NODES).unwrap_err();
    assert_eq!(error.to_string(), "there is no column `nmae` to sort by");
}

#[test]
fn a_query_is_about_the_same_document_as_json() {
    let ask = |query: &str, format| {
        let output = Output {
            query: Some(query.parse().unwrap()),
            sort_by: Some("cpus".to_owned()),
            ..with(format)
        };
        print(&output, &NODES)
    };
    assert_eq!(ask("nodes[].id", Format::Text).unwrap(), "i-3\ti-2\ti-1\n");
    assert_eq!(
        ask("nodes[?name].{Id: id}", Format::Table).unwrap(),
        "ID\ni-2\ni-1\n"
    );
    assert_eq!(ask("@", Format::Json).unwrap(), {
        let output = Output {
            sort_by: Some("cpus".to_owned()),
            ..with(Format::Json)
        };
        print(&output, &NODES).unwrap()
    });
    assert!(matches!(
        ask("sum(nodes[].id)", Format::Json),
        Err(OutputError::Query { .. })
    ));
}

#[test]
fn each_format_of_a_record() {
    let node = Record {
        name: "instance/i-1".to_owned(),
        fields: vec![
            Field::new("id", "i-1"),
            Field::new("asg", ""),
            Field::list("tags", ["a=1".into(), "b=2".into()]),
            Field::new("vpc", "vpc-1").wide(),
        ],
        document: json!({"id": "i-1"}),
    };
    let page = Page {
        columns: None,
        styled: false,
    };
    let print = |format| record(&with(format), &node, page).unwrap();
    assert_eq!(print(Format::Table), "id:    i-1\ntags:  a=1\n       b=2\n");
    assert_eq!(
        print(Format::Wide),
        "id:    i-1\ntags:  a=1\n       b=2\nvpc:   vpc-1\n"
    );
    assert_eq!(print(Format::Json), "{\n    \"id\": \"i-1\"\n}\n");
    assert_eq!(print(Format::Yaml), "id: i-1\n");
    assert_eq!(print(Format::Csv), "id,asg,tags,vpc\ni-1,,\"a=1, b=2\",vpc-1\n");
    assert_eq!(print(Format::Text), "i-1\t\ta=1, b=2\tvpc-1\n");
    assert_eq!(print(Format::Name), "instance/i-1\n");
}
