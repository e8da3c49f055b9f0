-- question: How many users are registered?
-- show: big number
-- unit: users
select count(*) as users
from {{ ref('fct_user_registration') }}
