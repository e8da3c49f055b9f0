-- question: Who signs for how long?
-- show: bar
-- about: Subscriptions by their term in months and the customer's type on signing; 0 is a term that could not be read.
-- by: customer_type
-- y: subscriptions
-- unit: subscriptions
select cast(term_months as varchar) || ' months' as term, customer_type, subscriptions
from {{ ref('customer_types_by_term') }}
order by term_months, customer_type
