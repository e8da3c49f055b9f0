-- question: How are a brand's active customers split by type?
-- show: line
-- about: Of the customers with a subscription in the month, by brand, how many per cent are companies.
-- by: brand
-- unit: "% b2b"
select month_start, brand, share_percent
from {{ ref('active_customer_share') }}
where customer_type = 'b2b'
order by month_start, brand
