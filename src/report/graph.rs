//! The stages and what they need, as a tree, for Graphviz, for Mermaid, and as a picture.

use std::collections::BTreeMap;

use crate::model::{Project, StageKey};
use crate::plan::Graph;

use super::style::{Paint, Tone};
use super::svg::{SvgNode, svg};

/// Stages and what each of them needs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GraphView {
    nodes: Vec<Node>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Node {
    key: StageKey,
    kind: &'static str,
    /// Numbers of nodes.
    needs: Vec<usize>,
}

impl GraphView {
    /// The stages `keys`, what is needed before what needs it, and how they depend on each other.
    #[must_use]
    pub fn new(project: &Project, graph: &Graph, keys: &[StageKey]) -> Self {
        let numbers: BTreeMap<&StageKey, usize> = keys.iter().zip(0..).collect();
        let node = |key: &StageKey| {
            let mut needs: Vec<usize> = graph
                .dependencies(key)
                .filter_map(|key| numbers.get(key).copied())
                .collect();
            needs.sort_unstable();
            needs.dedup();
            let kind = project.stage(key).map_or("", |stage| stage.kind.name());
            Node {
                key: key.clone(),
                kind,
                needs,
            }
        };
        Self {
            nodes: keys.iter().map(node).collect(),
        }
    }

    /// A tree from what nobody needs down to what needs nothing; what has been drawn is not drawn again.
    #[must_use]
    pub fn text(&self, paint: Paint) -> String {
        let mut text = String::new();
        let mut drawn = vec![false; self.nodes.len()];
        for (number, node) in self.nodes.iter().enumerate().rev() {
            if !self.nodes.iter().any(|other| other.needs.contains(&number)) {
                text.push_str(&format!("{}\n", self.label(node, paint)));
                self.branches(number, "", &mut drawn, paint, &mut text);
            }
        }
        text
    }

    fn branches(
        &self,
        number: usize,
        indent: &str,
        drawn: &mut [bool],
        paint: Paint,
        text: &mut String,
    ) {
        drawn[number] = true;
        let needs = &self.nodes[number].needs;
        for (i, need) in needs.iter().enumerate() {
            let last = i + 1 == needs.len();
            let again = drawn[*need] && !self.nodes[*need].needs.is_empty();
            let branch = if last { "└─ " } else { "├─ " };
            let more = if again { " …" } else { "" };
            text.push_str(&format!(
                "{indent}{branch}{}{more}\n",
                self.label(&self.nodes[*need], paint)
            ));
            if !again {
                let deeper = format!("{indent}{}", if last { "   " } else { "│  " });
                self.branches(*need, &deeper, drawn, paint, text);
            }
        }
    }

    fn label(&self, node: &Node, paint: Paint) -> String {
        let key = node.key.to_string();
        if node.kind == node.key.name.as_str() || node.kind.is_empty() {
            return key;
        }
        format!("{key}  {}", paint.tone(Tone::Dim, node.kind))
    }

    /// For Graphviz.
    #[must_use]
    pub fn dot(&self) -> String {
        let quote = |key: &StageKey| {
            format!(
                "\"{}\"",
                key.to_string().replace('\\', "\\\\").replace('"', "\\\"")
            )
        };
        let mut text =
            "digraph forge {\n  rankdir=LR;\n  node [shape=box, fontname=\"sans-serif\"];\n"
                .to_owned();
        for node in &self.nodes {
            text.push_str(&format!(
                "  {} [tooltip=\"{}\"];\n",
                quote(&node.key),
                node.kind
            ));
        }
        for (need, node) in self.edges() {
            text.push_str(&format!(
                "  {} -> {};\n",
                quote(&need.key),
                quote(&node.key)
            ));
        }
        text.push_str("}\n");
        text
    }

    /// For Mermaid, as in Markdown on GitHub and GitLab.
    #[must_use]
    pub fn mermaid(&self) -> String {
        let mut text = "graph LR\n".to_owned();
        for (number, node) in self.nodes.iter().enumerate() {
            text.push_str(&format!(
                "  s{number}[\"{}\"]\n",
                node.key.to_string().replace('"', "#quot;")
            ));
        }
        for (number, node) in self.nodes.iter().enumerate() {
            for need in &node.needs {
                text.push_str(&format!("  s{need} --> s{number}\n"));
            }
        }
        text
    }

    /// As a picture for browsers.
    #[must_use]
    pub fn svg(&self) -> String {
        let nodes = self.nodes.iter().map(|node| SvgNode {
            label: node.key.to_string(),
            kind: node.kind,
            needs: node.needs.clone(),
        });
        svg(&nodes.collect::<Vec<_>>())
    }

    fn edges(&self) -> impl Iterator<Item = (&Node, &Node)> {
        let nodes = &self.nodes;
        nodes
            .iter()
            .flat_map(move |node| node.needs.iter().map(move |need| (&nodes[*need], node)))
    }
}
