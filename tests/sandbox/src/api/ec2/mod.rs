//! EC2.

mod filter;
mod instances;
mod network;
mod pattern;
mod regions;
mod status;

use super::{ApiError, Input, Request, Service, Wire, page};
use crate::world::World;

pub(super) const SERVICE: Service = Service {
    name: "ec2",
    wire: Wire::Ec2 {
        version: "2016-11-15",
        namespace: "http://ec2.amazonaws.com/doc/2016-11-15/",
    },
    call,
};

fn call(world: &World, request: &Request<'_>) -> Option<Result<String, ApiError>> {
    let operation: fn(&World, &Request<'_>) -> Result<String, ApiError> = match request.operation {
        "DescribeDhcpOptions" => network::dhcp,
        "DescribeInstances" => instances::describe,
        "DescribeInstanceStatus" => status::describe,
        "DescribeNetworkAcls" => network::acls,
        "DescribeRegions" => regions::describe,
        "DescribeRouteTables" => network::routes,
        "DescribeSecurityGroups" => network::groups,
        "DescribeVpcAttribute" => network::attribute,
        "DescribeVpcEndpoints" => network::endpoints,
        "DescribeVpcs" => network::vpcs,
        _ => return None,
    };
    if request.input.flag("DryRun") {
        return Some(Err(ApiError::new(
            "DryRunOperation",
            "Request would have succeeded, but DryRun flag is set.",
        )
        .with_status(412)));
    }
    Some(operation(world, request))
}

/// Which part of a listing is asked for.
struct Span {
    start: usize,
    limit: Option<usize>,
    question: String,
}

impl Span {
    /// Reads `MaxResults` (within `low..=high`) and `NextToken`; ids and a size of pages exclude each other.
    fn of(input: &Input, low: usize, high: usize, ids: &str) -> Result<Self, ApiError> {
        let limit = input.text("MaxResults").map(|text| {
            let size: usize = text.parse().map_err(|_| {
                ApiError::new(
                    "InvalidParameterValue",
                    format!("Value ( {text} ) for parameter maxResults is invalid. Expecting an integer."),
                )
            })?;
            let bound = match size {
                _ if size < low => Some(format!("greater than {low}")),
                _ if size > high => Some(format!("less than or equal to {high}")),
                _ => None,
            };
            match bound {
                Some(bound) => Err(ApiError::new(
                    "InvalidParameterValue",
                    format!(
                        "Value ( {size} ) for parameter maxResults is invalid. Expecting a value {bound}."
                    ),
                )),
                None => Ok(size),
            }
        });
        let limit = limit.transpose()?;
        if limit.is_some() && !input.list(ids).is_empty() {
            return Err(ApiError::new(
                "InvalidParameterCombination",
                "The parameter instancesSet cannot be used with the parameter maxResults",
            ));
        }
        let Input::Form(fields) = input else {
            return Err(ApiError::new("InvalidRequest", "The request is no form."));
        };
        let mut question: Vec<String> = fields
            .iter()
            .filter(|(name, _)| name != "NextToken" && name != "MaxResults")
            .map(|(name, value)| format!("{name}={value}"))
            .collect();
        question.sort();
        let question = question.join("&");
        let start = match input.text("NextToken").filter(|token| !token.is_empty()) {
            None => 0,
            Some(token) => page::offset(&question, token)
                .ok_or_else(|| ApiError::new("InvalidParameterValue", "Unable to parse pagination token"))?,
        };
        Ok(Self {
            start,
            limit,
            question,
        })
    }

    /// The items of this page and the next one's token. `items` is walked from where the last page ended, so
    /// that a page costs what it holds.
    fn cut<T>(&self, items: &[T], mut wanted: impl FnMut(&T) -> bool) -> (Vec<usize>, Option<String>) {
        let limit = self.limit.unwrap_or(usize::MAX);
        let mut chosen = Vec::new();
        for (position, item) in items.iter().enumerate().skip(self.start) {
            if wanted(item) {
                if chosen.len() == limit {
                    return (chosen, Some(page::token(&self.question, position)));
                }
                chosen.push(position);
            }
        }
        (chosen, None)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn form(fields: &[(&str, &str)]) -> Input {
        let fields = fields.iter();
        Input::Form(
            fields
                .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
                .collect(),
        )
    }

    fn span(fields: &[(&str, &str)]) -> Result<Span, ApiError> {
        Span::of(&form(fields), 5, 1000, "InstanceId")
    }

    #[test]
    fn pages_cover_everything_once_and_the_last_has_no_token() {
        let items: Vec<usize> = (0..100).collect();
        let even = |item: &usize| item.is_multiple_of(2);
        let mut seen = Vec::new();
        let mut token: Option<String> = None;
        let mut pages = 0;
        loop {
            let mut fields = vec![("MaxResults", "10")];
            if let Some(token) = &token {
                fields.push(("NextToken", token));
            }
            let (page, next) = span(&fields).unwrap().cut(&items, even);
            assert!(page.len() <= 10);
            seen.extend(page);
            pages += 1;
            token = next;
            if token.is_none() {
                break;
            }
        }
        assert_eq!(seen, (0..100).filter(even).collect::<Vec<_>>());
        assert_eq!(pages, 5, "no empty page at the end");
    }

    #[test]
    fn what_ec2_refuses_is_refused() {
        let code = |fields: &[(&str, &str)]| span(fields).err().map(|error| error.code.into_owned());
        assert_eq!(code(&[("MaxResults", "5")]), None);
        assert_eq!(
            code(&[("MaxResults", "4")]).as_deref(),
            Some("InvalidParameterValue")
        );
        assert_eq!(
            code(&[("MaxResults", "1001")]).as_deref(),
            Some("InvalidParameterValue")
        );
        assert_eq!(
            code(&[("MaxResults", "many")]).as_deref(),
            Some("InvalidParameterValue")
        );
        assert_eq!(
            code(&[("NextToken", "x")]).as_deref(),
            Some("InvalidParameterValue")
        );
        assert_eq!(
            code(&[("MaxResults", "5"), ("InstanceId.1", "i-01234567")]).as_deref(),
            Some("InvalidParameterCombination")
        );
    }

    #[test]
    fn a_token_is_no_good_for_another_question() {
        let token = page::token("Filter.1.Name=x", 10);
        assert!(span(&[("Filter.1.Name", "x"), ("NextToken", &token)]).is_ok());
        assert!(span(&[("Filter.1.Name", "y"), ("NextToken", &token)]).is_err());
    }
}
