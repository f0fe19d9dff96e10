"""The site's addresses."""

from django.urls import path

from django_site import views

urlpatterns = [
    path("", views.AddView.as_view(), name="add"),
    path("shout/", views.ShoutView.as_view(), name="shout"),
    path("jobs/<uuid:task_id>/", views.job, name="job"),
]
