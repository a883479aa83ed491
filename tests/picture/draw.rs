//! Draws a description as SVG, for light and dark backgrounds.

use std::fmt::Write;

use crate::description::{Bend, Description, Move, Port, Side, State, Who};

pub const WIDTH: f64 = 1010.0;
const HEIGHT: f64 = 640.0;
pub const BOX: (f64, f64) = (210.0, 84.0);
const FIRST: (f64, f64) = (40.0, 84.0);
const STEP: (f64, f64) = (360.0, 196.0);
const LINE: f64 = 17.0;

const STYLE: &str = "
    text { font: 13px system-ui, 'Segoe UI', Helvetica, Arial, 'DejaVu Sans', sans-serif; fill: #1f2328 }
    .code { font-family: ui-monospace, Menlo, Consolas, 'DejaVu Sans Mono', monospace; font-size: 12px }
    .title { font-weight: 600; font-size: 14px }
    .page { fill: #ffffff; stroke: #d1d9e0 }
    .state { fill: #f6f8fa; stroke: #59636e; stroke-width: 1.5 }
    .free { fill: #dafbe1; stroke: #1a7f37 }
    path { fill: none; stroke-width: 1.8 }
    .library { stroke: #0969da } .shipped { stroke: #bc4c00 } .nobody { stroke: #59636e; stroke-dasharray: 5 4 }
    text.library, marker .library { fill: #0969da; stroke: none }
    text.shipped, marker .shipped { fill: #bc4c00; stroke: none }
    text.nobody, marker .nobody { fill: #59636e; stroke: none }
    @media (prefers-color-scheme: dark) {
      text { fill: #f0f6fc }
      .page { fill: #0d1117; stroke: #3d444d }
      .state { fill: #151b23; stroke: #9198a1 }
      .free { fill: #12261e; stroke: #3fb950 }
      .library { stroke: #4493f8 } .shipped { stroke: #f0883e } .nobody { stroke: #9198a1 }
      text.library, marker .library { fill: #4493f8 }
      text.shipped, marker .shipped { fill: #f0883e }
      text.nobody, marker .nobody { fill: #9198a1 }
    }
";

type Point = (f64, f64);

/// A rectangle that a state or a text takes up.
#[derive(Clone, Copy, Debug)]
pub struct Area {
    pub left: f64,
    pub right: f64,
    top: f64,
    bottom: f64,
}

impl Area {
    pub fn meets(&self, other: &Area) -> bool {
        self.left < other.right && other.left < self.right && self.top < other.bottom && other.top < self.bottom
    }

    /// Whether a line passes through it, tested at a thousand points.
    pub fn is_crossed_by(&self, points: &[(f64, f64)]) -> bool {
        points.windows(2).any(|ends| {
            (0..=1000).map(|step| f64::from(step) / 1000.0).any(|part| {
                let x = ends[0].0 + (ends[1].0 - ends[0].0) * part;
                let y = ends[0].1 + (ends[1].1 - ends[0].1) * part;
                self.left < x && x < self.right && self.top < y && y < self.bottom
            })
        })
    }
}

fn who(by: Who) -> &'static str {
    match by {
        Who::Library => "library",
        Who::Shipped => "shipped",
        Who::Nobody => "nobody",
    }
}

fn corner(state: &State) -> Point {
    (FIRST.0 + STEP.0 * state.column, FIRST.1 + STEP.1 * state.row)
}

fn place(described: &Description, port: &Port) -> Point {
    let state = described
        .states
        .iter()
        .find(|state| state.name == port.state)
        .expect("a state that is there");
    let ((x, y), part) = (corner(state), port.percent / 100.0);
    match port.side {
        Side::Left => (x, y + BOX.1 * part),
        Side::Right => (x + BOX.0, y + BOX.1 * part),
        Side::Top => (x + BOX.0 * part, y),
        Side::Bottom => (x + BOX.0 * part, y + BOX.1),
    }
}

/// The corners of an arrow's line. After its bends, which are right angles, it meets the side of the state at a right
/// angle.
pub fn line(described: &Description, step: &Move) -> Vec<Point> {
    let end = place(described, &step.to);
    let mut points = vec![place(described, &step.from)];
    for bend in &step.bends {
        let (x, y) = points[points.len() - 1];
        points.push(match bend {
            Bend::X(at) => (*at, y),
            Bend::Y(at) => (x, *at),
            Bend::End => (end.0, y),
        });
    }
    let (x, y) = points[points.len() - 1];
    match step.bends.last() {
        Some(Bend::X(_)) => points.push((x, end.1)),
        Some(Bend::Y(_)) => points.push((end.0, y)),
        Some(Bend::End) | None => {}
    }
    points.push(end);
    points
}

/// The line as a path with rounded corners.
fn path(points: &[Point]) -> String {
    const ROUND: f64 = 12.0;
    let toward = |from: Point, to: Point| {
        let length = (to.0 - from.0).hypot(to.1 - from.1);
        (
            from.0 + (to.0 - from.0) * ROUND / length,
            from.1 + (to.1 - from.1) * ROUND / length,
        )
    };
    let mut path = format!("M{:.1} {:.1}", points[0].0, points[0].1);
    for three in points.windows(3) {
        let (before, after) = (toward(three[1], three[0]), toward(three[1], three[2]));
        let at = three[1];
        let _ = write!(
            path,
            "L{:.1} {:.1}Q{:.1} {:.1} {:.1} {:.1}",
            before.0, before.1, at.0, at.1, after.0, after.1
        );
    }
    let end = points[points.len() - 1];
    let _ = write!(path, "L{:.1} {:.1}", end.0, end.1);
    path
}

/// Roughly the width of a line of text in any of the fonts.
pub fn width(text: &str) -> f64 {
    let letters = |part: &str| part.chars().count() as f64;
    text.split('`')
        .enumerate()
        .map(|(place, part)| letters(part) * if place % 2 == 1 { 7.4 } else { 6.8 })
        .sum()
}

/// Where a move's text goes: beside the middle of the longest part of its line.
struct Label {
    x: f64,
    top: f64,
    anchor: &'static str,
}

fn label(described: &Description, step: &Move) -> Label {
    let points = line(described, step);
    let length = |part: &[Point]| (part[1].0 - part[0].0).hypot(part[1].1 - part[0].1);
    let longest = points
        .windows(2)
        .max_by(|one, other| length(one).total_cmp(&length(other)))
        .expect("a line");
    let (x, y) = ((longest[0].0 + longest[1].0) / 2.0, (longest[0].1 + longest[1].1) / 2.0);
    let height = LINE * step.text.len() as f64;
    // A slanted line comes closer above or below its middle.
    let slant = ((longest[1].0 - longest[0].0) / (longest[1].1 - longest[0].1)).abs();
    let aside = 10.0 + slant * height / 2.0;
    match step.beside.as_str() {
        "above" => Label {
            x,
            top: y - height - 6.0,
            anchor: "middle",
        },
        "below" => Label {
            x,
            top: y + 5.0,
            anchor: "middle",
        },
        "left" => Label {
            x: x - aside,
            top: y - height / 2.0,
            anchor: "end",
        },
        "right" => Label {
            x: x + aside,
            top: y - height / 2.0,
            anchor: "start",
        },
        other => panic!("beside {other}?"),
    }
}

/// The areas of the states and of the texts of the moves, each with its first words.
pub fn boxes(described: &Description) -> Vec<(String, Area)> {
    let states = described.states.iter().map(|state| {
        let (left, top) = corner(state);
        (
            state.text[0].clone(),
            Area {
                left,
                right: left + BOX.0,
                top,
                bottom: top + BOX.1,
            },
        )
    });
    let labels = described.moves.iter().map(|step| {
        let Label { x, top, anchor } = label(described, step);
        let wide = step.text.iter().map(|text| width(text)).fold(0.0, f64::max);
        let left = match anchor {
            "start" => x,
            "end" => x - wide,
            _ => x - wide / 2.0,
        };
        let bottom = top + LINE * step.text.len() as f64;
        (
            step.text[0].clone(),
            Area {
                left,
                right: left + wide,
                top,
                bottom,
            },
        )
    });
    states.chain(labels).collect()
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

fn words(text: &str, (x, y): Point, anchor: &str, class: &str) -> String {
    let parts = text.split('`').enumerate().map(|(place, part)| match place % 2 {
        1 => format!("<tspan class=\"code\">{}</tspan>", escaped(part)),
        _ => escaped(part),
    });
    let inner: String = parts.collect();
    format!("<text x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"{anchor}\" class=\"{class}\">{inner}</text>\n")
}

fn drawn_state(state: &State) -> String {
    let (x, y) = corner(state);
    let class = if state.name == "absent" { "state free" } else { "state" };
    let dashes = if state.name == "foreign" {
        " stroke-dasharray=\"4 3\""
    } else {
        ""
    };
    let mut out = format!(
        "<rect x=\"{x}\" y=\"{y}\" width=\"{}\" height=\"{}\" rx=\"10\" class=\"{class}\"{dashes}/>\n",
        BOX.0, BOX.1
    );
    let first = y + BOX.1 / 2.0 - LINE * (state.text.len() as f64) / 2.0 + 12.5;
    for (place, text) in state.text.iter().enumerate() {
        let class = if place == 0 { "title" } else { "" };
        out += &words(text, (x + BOX.0 / 2.0, first + LINE * place as f64), "middle", class);
    }
    out
}

fn drawn_line(described: &Description, step: &Move) -> String {
    let who = who(step.who);
    format!(
        "<path d=\"{}\" class=\"{who}\" marker-end=\"url(#{who})\"/>\n",
        path(&line(described, step))
    )
}

fn drawn_label(described: &Description, step: &Move) -> String {
    let Label { x, top, anchor } = label(described, step);
    let lines = step.text.iter().enumerate();
    lines
        .map(|(place, text)| words(text, (x, top + 13.0 + LINE * place as f64), anchor, who(step.who)))
        .collect()
}

fn legend(described: &Description) -> String {
    let mut out = String::new();
    let kinds = [
        (Who::Library, "a library peer"),
        (Who::Shipped, "a shipped peer"),
        (Who::Nobody, "a process ends, or time goes by"),
    ];
    for (place, (by, text)) in kinds.into_iter().enumerate() {
        let (x, y) = (40.0 + 190.0 * place as f64, HEIGHT - 42.0);
        let who = who(by);
        let _ = writeln!(
            out,
            "<path d=\"M{x} {y}h34\" class=\"{who}\" marker-end=\"url(#{who})\"/>"
        );
        out += &words(text, (x + 44.0, y + 4.5), "start", "");
    }
    for (place, note) in described.notes.iter().rev().enumerate() {
        out += &words(note, (40.0, HEIGHT - 16.0 - LINE * place as f64), "start", "");
    }
    out
}

pub fn svg(described: &Description) -> String {
    let mut out = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\">\n\
         <title>The states of the lock, and who moves it between them</title>\n<style>{STYLE}</style>\n<defs>\n"
    );
    for who in ["library", "shipped", "nobody"] {
        let _ = writeln!(
            out,
            "<marker id=\"{who}\" viewBox=\"0 0 10 10\" refX=\"9\" refY=\"5\" markerWidth=\"9\" markerHeight=\"9\" \
             markerUnits=\"userSpaceOnUse\" orient=\"auto\"><path d=\"M0 0L10 5L0 10z\" class=\"{who}\"/></marker>"
        );
    }
    let _ = write!(
        out,
        "</defs>\n<rect x=\"0.5\" y=\"0.5\" width=\"{}\" height=\"{}\" rx=\"12\" class=\"page\"/>\n",
        WIDTH - 1.0,
        HEIGHT - 1.0
    );
    out.extend(described.moves.iter().map(|step| drawn_line(described, step)));
    out.extend(described.states.iter().map(drawn_state));
    out.extend(described.moves.iter().map(|step| drawn_label(described, step)));
    out + &legend(described) + "</svg>\n"
}
