//! The language of `docs/states.txt`, which is explained there.

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Who {
    Library,
    Shipped,
    Nobody,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    Left,
    Right,
    Top,
    Bottom,
}

/// Where an arrow begins or ends: how far along a side of a state.
#[derive(Debug)]
pub struct Port {
    pub state: String,
    pub side: Side,
    pub percent: f64,
}

/// A bend of the line, which goes on to this x or y, or to the x of its end.
#[derive(Clone, Copy, Debug)]
pub enum Bend {
    X(f64),
    Y(f64),
    End,
}

#[derive(Debug)]
pub struct State {
    pub name: String,
    pub column: f64,
    pub row: f64,
    pub text: Vec<String>,
}

#[derive(Debug)]
pub struct Move {
    pub from: Port,
    pub to: Port,
    pub who: Who,
    pub section: String,
    pub bends: Vec<Bend>,
    pub beside: String,
    pub text: Vec<String>,
}

#[derive(Debug, Default)]
pub struct Description {
    pub states: Vec<State>,
    pub moves: Vec<Move>,
    pub notes: Vec<String>,
}

impl Description {
    pub fn parse(text: &str) -> Description {
        let mut found = Description::default();
        let mut lines = text
            .lines()
            .filter(|line| !line.starts_with('#') && !line.trim().is_empty())
            .peekable();
        while let Some(head) = lines.next() {
            let indented = |line: &&str| line.starts_with(' ');
            let text: Vec<String> = std::iter::from_fn(|| lines.next_if(indented))
                .map(|line| line.trim().into())
                .collect();
            assert!(!text.is_empty(), "{head}: it has no text");
            match head.split_once(' ') {
                Some(("state", rest)) => found.states.push(state(rest, text)),
                Some(("move", rest)) => found.moves.push(step(rest, text)),
                None if head == "note" => found.notes.extend(text),
                _ => panic!("no such block: {head}"),
            }
        }
        found
    }
}

fn state(head: &str, text: Vec<String>) -> State {
    let (name, place) = head.split_once(" at ").expect(head);
    let (column, row) = place.split_once(',').expect(head);
    State {
        name: name.into(),
        column: column.parse().expect(head),
        row: row.parse().expect(head),
        text,
    }
}

fn step(head: &str, text: Vec<String>) -> Move {
    let (head, beside) = head.split_once(" beside ").expect(head);
    let (head, bends) = head.split_once(" via ").unwrap_or((head, ""));
    let (head, section) = head.split_once(" in ").expect(head);
    let (ports, who) = head.split_once(" by ").expect(head);
    let (from, to) = ports.split_once(" -> ").expect(head);
    let who = match who {
        "library" => Who::Library,
        "shipped" => Who::Shipped,
        "nobody" => Who::Nobody,
        _ => panic!("{head}: who makes the move?"),
    };
    let bends = bends.split_whitespace().map(bend).collect();
    Move {
        from: port(from),
        to: port(to),
        who,
        section: section.into(),
        bends,
        beside: beside.into(),
        text,
    }
}

fn port(text: &str) -> Port {
    let (state, rest) = text.split_once('.').expect(text);
    let (side, percent) = rest.split_once('@').expect(text);
    let side = match side {
        "left" => Side::Left,
        "right" => Side::Right,
        "top" => Side::Top,
        "bottom" => Side::Bottom,
        _ => panic!("{text}: which side?"),
    };
    Port {
        state: state.into(),
        side,
        percent: percent.parse().expect(text),
    }
}

fn bend(text: &str) -> Bend {
    match text.split_once('=').expect(text) {
        ("x", "end") => Bend::End,
        ("x", at) => Bend::X(at.parse().expect(text)),
        ("y", at) => Bend::Y(at.parse().expect(text)),
        _ => panic!("{text}: where to?"),
    }
}

/// The words in backticks.
pub fn code_words(text: &[String]) -> Vec<&str> {
    text.iter()
        .flat_map(|line| line.split('`').skip(1).step_by(2))
        .collect()
}
