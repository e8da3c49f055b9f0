"""A project's DAGs for Apache Airflow."""
